/* SPDX-License-Identifier: MIT */
#include <dal/value.h>

#define US_PER_S     INT64_C(1000000)
#define S_PER_DAY    INT64_C(86400)
#define US_PER_DAY   (S_PER_DAY * US_PER_S)
#define DAYS_PER_ERA INT64_C(146097) /* 400 years */
#define DAYS_TO_1970 INT64_C(719468) /* from 0000-03-01 */
/* The first and last day whose year fits dal_civil. */
#define FIRST_CIVIL_DAY INT64_C(-784353015833)
#define LAST_CIVIL_DAY  INT64_C(784351576776)

static const char *const type_names[] = {
        [DAL_TYPE_NULL] = "null",     [DAL_TYPE_BOOL] = "bool",     [DAL_TYPE_INT64] = "int64",
        [DAL_TYPE_UINT64] = "uint64", [DAL_TYPE_DOUBLE] = "double", [DAL_TYPE_DECIMAL] = "decimal",
        [DAL_TYPE_TEXT] = "text",     [DAL_TYPE_BYTES] = "bytes",   [DAL_TYPE_TIMESTAMP] = "timestamp",
        [DAL_TYPE_DATE] = "date",     [DAL_TYPE_UUID] = "uuid",     [DAL_TYPE_OTHER] = "other",
};

const char *dal_value_type_name(dal_type type)
{
        return (size_t)type < sizeof type_names / sizeof type_names[0] ? type_names[type] : "?";
}

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b < 0);
}

/* Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
dal_civil dal_value_civil_of_days(int64_t unix_days)
{
        dal_civil civil = {0, 0, 0, 0, 0, 0, 0};
        int64_t days, era, day_of_era, year_of_era, day_of_year, month;

        if (unix_days < FIRST_CIVIL_DAY)
                unix_days = FIRST_CIVIL_DAY;
        if (unix_days > LAST_CIVIL_DAY)
                unix_days = LAST_CIVIL_DAY;
        days = unix_days + DAYS_TO_1970;
        era = floor_div(days, DAYS_PER_ERA);
        day_of_era = days - era * DAYS_PER_ERA;
        year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        month = (5 * day_of_year + 2) / 153; /* from March */
        civil.day = (uint8_t)(day_of_year - (153 * month + 2) / 5 + 1);
        civil.month = (uint8_t)(month < 10 ? month + 3 : month - 9);
        civil.year = (int32_t)(year_of_era + era * 400 + (civil.month <= 2));
        return civil;
}

dal_civil dal_value_civil_of_us(int64_t unix_us)
{
        int64_t days = floor_div(unix_us, US_PER_DAY);
        int64_t rest = unix_us % US_PER_DAY;
        dal_civil civil = dal_value_civil_of_days(days);

        /* Not from `days`, whose product would overflow on the first day of the range. */
        if (rest < 0)
                rest += US_PER_DAY;
        civil.microsecond = (uint32_t)(rest % US_PER_S);
        rest /= US_PER_S;
        civil.second = (uint8_t)(rest % 60);
        civil.minute = (uint8_t)(rest / 60 % 60);
        civil.hour = (uint8_t)(rest / 3600);
        return civil;
}

int64_t dal_value_days_of_civil(dal_civil civil)
{
        int64_t year = (int64_t)civil.year - (civil.month <= 2);
        int64_t month = civil.month > 2 ? civil.month - 3 : civil.month + 9; /* from March */
        int64_t era = floor_div(year, 400);
        int64_t year_of_era = year - era * 400;
        int64_t day_of_year = (153 * month + 2) / 5 + civil.day - 1;
        int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

        return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

int64_t dal_value_us_of_civil(dal_civil civil)
{
        int64_t days = dal_value_days_of_civil(civil);
        int64_t us = ((int64_t)civil.hour * 3600 + (int64_t)civil.minute * 60 + civil.second) * US_PER_S +
                     civil.microsecond;

        if (days < 0) { /* so that the product of the first day of the range does not overflow */
                days++;
                us -= US_PER_DAY;
        }
        if (days > INT64_MAX / US_PER_DAY)
                return INT64_MAX;
        if (days < INT64_MIN / US_PER_DAY)
                return INT64_MIN;
        days *= US_PER_DAY;
        if (us > 0 && days > INT64_MAX - us)
                return INT64_MAX;
        if (us < 0 && days < INT64_MIN - us)
                return INT64_MIN;
        return days + us;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *text, size_t size, size_t i)
{
        while (i < size && is_digit(text[i]))
                i++;
        return i;
}

bool dal_value_is_decimal(const char *text, size_t size)
{
        size_t i = 0, first, n_digits;

        if (i < size && (text[i] == '-' || text[i] == '+'))
                i++;
        first = i;
        i = skip_digits(text, size, i);
        n_digits = i - first;
        if (i < size && text[i] == '.') {
                first = ++i;
                i = skip_digits(text, size, i);
                n_digits += i - first;
        }
        if (n_digits == 0)
                return false;
        if (i < size && (text[i] == 'e' || text[i] == 'E')) {
                i++;
                if (i < size && (text[i] == '-' || text[i] == '+'))
                        i++;
                first = i;
                i = skip_digits(text, size, i);
                if (i == first)
                        return false;
        }
        return i == size;
}

/* Returns the size of the character at the start, 0 if it is malformed. Source: RFC 3629, section 4. */
static size_t utf8_step(const unsigned char *p, size_t size)
{
        unsigned char low = 0x80, high = 0xBF;
        size_t n;

        if (p[0] < 0x80)
                return 1;
        if (p[0] < 0xC2 || p[0] > 0xF4)
                return 0;
        n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
        if (n > size)
                return 0;
        if (p[0] == 0xE0)
                low = 0xA0; /* overlong */
        else if (p[0] == 0xED)
                high = 0x9F; /* surrogates */
        else if (p[0] == 0xF0)
                low = 0x90; /* overlong */
        else if (p[0] == 0xF4)
                high = 0x8F; /* above U+10FFFF */
        if (p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++)
                if (p[i] < 0x80 || p[i] > 0xBF)
                        return 0;
        return n;
}

bool dal_value_is_utf8(const char *text, size_t size)
{
        const unsigned char *p = (const unsigned char *)text;
        size_t i = 0;

        while (i < size) {
                uint64_t word;
                size_t step;

                /* Nearly all text is ASCII: eight bytes at once. */
                if (size - i >= sizeof word) {
                        memcpy(&word, p + i, sizeof word);
                        if (!(word & UINT64_C(0x8080808080808080))) {
                                i += sizeof word;
                                continue;
                        }
                }
                step = utf8_step(p + i, size - i);
                if (step == 0)
                        return false;
                i += step;
        }
        return true;
}

static int hex_digit(char c)
{
        if (is_digit(c))
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

bool dal_value_parse_uuid(const char *text, size_t size, uint8_t out[16])
{
        bool hyphens = size == 36;
        uint8_t uuid[16];
        size_t i = 0;

        if (size != 36 && size != 32)
                return false;
        for (size_t n = 0; n < 16; n++) {
                int high, low;

                if (hyphens && (n == 4 || n == 6 || n == 8 || n == 10) && text[i++] != '-')
                        return false;
                high = hex_digit(text[i]);
                low = hex_digit(text[i + 1]);
                if (high < 0 || low < 0)
                        return false;
                uuid[n] = (uint8_t)(high * 16 + low);
                i += 2;
        }
        memcpy(out, uuid, sizeof uuid);
        return true;
}

void dal_value_format_uuid(const uint8_t uuid[16], char out[37])
{
        static const char digits[] = "0123456789abcdef";

        for (size_t n = 0; n < 16; n++) {
                if (n == 4 || n == 6 || n == 8 || n == 10)
                        *out++ = '-';
                *out++ = digits[uuid[n] >> 4];
                *out++ = digits[uuid[n] & 15];
        }
        *out = '\0';
}

/* A reader that remembers whether anything was wrong, so that the parsers below can be read top to bottom. */
struct reader {
        const char *text;
        size_t size;
        size_t pos;
        bool ok;
};

static bool skip(struct reader *r, char c)
{
        if (r->pos >= r->size || r->text[r->pos] != c)
                return false;
        r->pos++;
        return true;
}

static uint32_t number(struct reader *r, size_t n_digits, uint32_t min, uint32_t max)
{
        uint32_t value = 0;

        for (size_t i = 0; i < n_digits; i++, r->pos++) {
                if (r->pos >= r->size || !is_digit(r->text[r->pos])) {
                        r->ok = false;
                        return min;
                }
                value = value * 10 + (uint32_t)(r->text[r->pos] - '0');
        }
        if (value < min || value > max) {
                r->ok = false;
                return min;
        }
        return value;
}

static void need(struct reader *r, char c)
{
        if (!skip(r, c))
                r->ok = false;
}

static uint32_t days_in_month(int32_t year, uint32_t month)
{
        static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (uint32_t)(month == 2 && leap);
}

/* Digits of the longest year. Source: PostgreSQL 15 manual, table 8.9: dates reach to 5874897 AD. */
#define MAX_YEAR_DIGITS 7

/* At least four digits; more only where they are needed. */
static int32_t read_year(struct reader *r, bool is_bc)
{
        size_t n = skip_digits(r->text, r->size, r->pos) - r->pos;
        bool padded = n > 4 && r->text[r->pos] == '0';
        int32_t year;

        if (n < 4 || n > MAX_YEAR_DIGITS || padded)
                r->ok = false;
        year = (int32_t)number(r, r->ok ? n : 4, 1, 9999999);
        return is_bc ? 1 - year : year;
}

/* The era stands at the very end, but whether a year is a leap year depends on it. */
static bool take_era(struct reader *r)
{
        if (r->size < 3 || memcmp(r->text + r->size - 3, " BC", 3) != 0)
                return false;
        r->size -= 3;
        return true;
}

static void read_date(struct reader *r, dal_civil *civil)
{
        bool is_bc = take_era(r);
        uint32_t month;

        civil->year = read_year(r, is_bc);
        need(r, '-');
        month = number(r, 2, 1, 12);
        need(r, '-');
        civil->day = (uint8_t)number(r, 2, 1, days_in_month(civil->year, month));
        civil->month = (uint8_t)month;
}

/* Digits after the sixth must be zero: nothing is lost in silence. */
static uint32_t read_fraction(struct reader *r)
{
        uint32_t us = 0, unit = 100000;
        size_t first = r->pos;

        for (; r->pos < r->size && is_digit(r->text[r->pos]); r->pos++, unit /= 10) {
                uint32_t digit = (uint32_t)(r->text[r->pos] - '0');

                if (unit == 0 && digit != 0)
                        r->ok = false;
                us += digit * unit;
        }
        if (r->pos == first)
                r->ok = false;
        return us;
}

/* Reads "Z", "+02", "+0230", "+02:30", "+00:19:32" or nothing; returns seconds east of UTC. */
static int64_t read_zone(struct reader *r)
{
        bool west;
        int64_t s;

        if (r->pos == r->size || skip(r, 'Z'))
                return 0;
        west = skip(r, '-');
        if (!west)
                need(r, '+');
        s = (int64_t)number(r, 2, 0, 15) *
            3600; /* Source: PostgreSQL 15, datatype/timestamp.h, MAX_TZDISP_HOUR */
        if (r->pos < r->size) {
                skip(r, ':');
                s += (int64_t)number(r, 2, 0, 59) * 60;
        }
        if (r->pos < r->size) { /* local mean time, before there were zones */
                need(r, ':');
                s += number(r, 2, 0, 59);
        }
        return west ? -s : s;
}

/* Within a day of the ends nothing is read, so that no zone can carry it over. */
static bool fits_us(dal_civil civil)
{
        int64_t days = dal_value_days_of_civil(civil);

        return days > INT64_MIN / US_PER_DAY + 1 && days < INT64_MAX / US_PER_DAY - 1;
}

bool dal_value_parse_timestamp(const char *text, size_t size, int64_t *unix_us_out)
{
        struct reader r = {text, size, 0, true};
        dal_civil civil = {0, 0, 0, 0, 0, 0, 0};
        int64_t zone_s = 0;

        read_date(&r, &civil);
        if (r.ok && r.pos < r.size) {
                if (!skip(&r, ' '))
                        need(&r, 'T');
                civil.hour = (uint8_t)number(&r, 2, 0, 23);
                need(&r, ':');
                civil.minute = (uint8_t)number(&r, 2, 0, 59);
                if (skip(&r, ':')) {
                        civil.second = (uint8_t)number(&r, 2, 0, 59);
                        if (skip(&r, '.'))
                                civil.microsecond = read_fraction(&r);
                }
                zone_s = read_zone(&r);
        }
        if (!r.ok || r.pos != r.size || !fits_us(civil))
                return false;
        *unix_us_out = dal_value_us_of_civil(civil) - zone_s * US_PER_S;
        return true;
}

bool dal_value_parse_date(const char *text, size_t size, int64_t *unix_days_out)
{
        struct reader r = {text, size, 0, true};
        dal_civil civil = {0, 0, 0, 0, 0, 0, 0};

        read_date(&r, &civil);
        if (!r.ok || r.pos != r.size)
                return false;
        *unix_days_out = dal_value_days_of_civil(civil);
        return true;
}
