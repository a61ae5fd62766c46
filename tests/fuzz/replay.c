/* SPDX-License-Identifier: MIT */
/*
 * replay FOLDER...: a fuzz target without libFuzzer. Each file of the folders is given to it whole, then cut off at
 * each place, then with each byte changed: what is close to an interesting input is interesting, too.
 */

#include <dirent.h>

#include "fuzz.h"

#define MAX_SIZE 65536
/* A byte is replaced by those that mean something somewhere, or turned over. */
static const uint8_t others[] = {0, 0xFF, '\'', '\\', '%', ';'};

static size_t n_runs;

static void run(const uint8_t *data, size_t size)
{
        uint8_t *copy = fuzz_copy(data, size);

        n_runs++;
        (void)LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static void run_neighbours(uint8_t *data, size_t size)
{
        /* Of a large input only some, so that the time stays the same. */
        size_t step = 1 + size / 512;

        for (size_t i = 0; i < size; i += step)
                run(data, i);
        for (size_t i = 0; i < size; i += step) {
                uint8_t before = data[i];

                data[i] = before ^ 0x80;
                run(data, size);
                data[i] = others[i % sizeof others];
                run(data, size);
                data[i] = before;
        }
}

static int replay_file(const char *path)
{
        static uint8_t data[MAX_SIZE];
        FILE *file = fopen(path, "rb");
        size_t size;

        if (!file) {
                perror(path);
                return 1;
        }
        size = fread(data, 1, sizeof data, file);
        fclose(file);
        if (size == sizeof data) {
                fprintf(stderr, "%s: larger than a seed should be\n", path);
                return 1;
        }
        run(data, size);
        run_neighbours(data, size);
        return 0;
}

int main(int argc, char **argv)
{
        size_t n_files = 0;
        int bad = 0;

        for (int i = 1; i < argc; i++) {
                DIR *dir = opendir(argv[i]);
                const struct dirent *entry;

                if (!dir) {
                        perror(argv[i]);
                        return 1;
                }
                while ((entry = readdir(dir))) {
                        char path[4096];

                        if (entry->d_name[0] == '.')
                                continue;
                        snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
                        bad |= replay_file(path);
                        n_files++;
                }
                closedir(dir);
        }
        printf("%zu files, %zu runs\n", n_files, n_runs);
        if (!n_files)
                fprintf(stderr, "usage: replay FOLDER...; there was no file\n");
        return bad || !n_files;
}
