/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dal/key.h>

static const uint8_t uuid[16] = {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b, 0x41, 0xd4,
                                 0xa7, 0x16, 0x44, 0x66, 0x55, 0x44, 0x00, 0x00};

static void check(dal_key key, uint64_t hash, uint16_t slot, dal_type type)
{
        assert_true(key.hash == hash);
        assert_int_equal(dal_key_slot(&key), slot);
        assert_int_equal(key.type, type);
        assert_true(dal_key_is_set(&key));
}

/* The same numbers come from the SQL expressions on PostgreSQL and MariaDB: they must never change. */
static void test_key__int64_vectors(void **state)
{
        static const struct {
                int64_t id;
                uint64_t hash;
                uint16_t slot;
        } vectors[] = {
                {0, UINT64_C(0x0000000000000000), 0},
                {1, UINT64_C(0xb456bcfc34c2cb2c), 11541},
                {2, UINT64_C(0x3abf2a20650683e7), 3759},
                {3, UINT64_C(0x0b5181c509f8d8ce), 724},
                {42, UINT64_C(0x810879608e4259cc), 8258},
                {1000, UINT64_C(0xaf002c114878da41), 11200},
                {-1, UINT64_C(0x64b5720b4b825f21), 6445},
                {INT64_MIN, UINT64_C(0x8f780810af31a493), 9182},
                {INT64_MAX, UINT64_C(0xabb93df0a930edea), 10990},
                {INT64_C(1234567890123456789), UINT64_C(0x9c49c6098a8f367e), 10002},
        };

        (void)state;
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
                check(dal_key_int64(vectors[i].id), vectors[i].hash, vectors[i].slot, DAL_TYPE_INT64);
}

static void test_key__sha256_vectors(void **state)
{
        (void)state;
        check(dal_key_text(""), UINT64_C(0xe3b0c44298fc1c14), 14572, DAL_TYPE_TEXT);
        check(dal_key_text("a"), UINT64_C(0xca978112ca1bbdca), 12965, DAL_TYPE_TEXT);
        check(dal_key_text("user:42"), UINT64_C(0xea3fd43be1e57d62), 14991, DAL_TYPE_TEXT);
        check(dal_key_text("heythere"), UINT64_C(0x8e2d324112fd28dc), 9099, DAL_TYPE_TEXT);
        check(dal_key_bytes("heythere", 8), UINT64_C(0x8e2d324112fd28dc), 9099, DAL_TYPE_BYTES);
        check(dal_key_uuid(uuid), UINT64_C(0xcee82307e6ad54d9), 13242, DAL_TYPE_UUID);
        check(dal_key_bytes(uuid, 16), UINT64_C(0xcee82307e6ad54d9), 13242, DAL_TYPE_BYTES);
}

static void test_key__text_is_its_bytes(void **state)
{
        dal_key upper = dal_key_text("A");
        dal_key lower = dal_key_text("a");
        dal_key padded = dal_key_text("a ");
        dal_key part = dal_key_text_n("a-and-more", 1);

        (void)state;
        assert_true(upper.hash != lower.hash);
        assert_true(padded.hash != lower.hash);
        assert_true(part.hash == lower.hash);
        assert_true(dal_key_text_n("a\0b", 3).hash != lower.hash);
}

/* Computed apart from this code, as SHA-256 of 'i' 00000008 0000000000000007 't' 00000003 "abc". */
static void test_key__composite_vectors(void **state)
{
        const dal_value two[] = {dal_int64(7), dal_text("abc")};
        const dal_value all[] = {dal_int64(-1), dal_text(""), dal_bytes("\xFF", 1), dal_uuid(uuid)};

        (void)state;
        check(dal_key_composite(two, 2), UINT64_C(0x0d2589ef3c875a6e), 841, DAL_TYPE_OTHER);
        check(dal_key_composite(all, 4), UINT64_C(0xa65bb512bbd2fbc7), 10646, DAL_TYPE_OTHER);
}

static void test_key__composite_parts_do_not_run_together(void **state)
{
        const dal_value a[] = {dal_text("ab"), dal_text("c")};
        const dal_value b[] = {dal_text("a"), dal_text("bc")};
        const dal_value c[] = {dal_text("ab"), dal_bytes("c", 1)};
        const dal_value d[] = {dal_text("c"), dal_text("ab")};
        uint64_t hash = dal_key_composite(a, 2).hash;

        (void)state;
        assert_true(hash != dal_key_composite(b, 2).hash);
        assert_true(hash != dal_key_composite(c, 2).hash);
        assert_true(hash != dal_key_composite(d, 2).hash);
}

static void test_key__composite_of_one_part_is_that_part(void **state)
{
        const dal_value id = dal_int64(42);
        const dal_value text = dal_text("user:42");
        const dal_value id16 = dal_uuid(uuid);
        const dal_value bytes = dal_bytes("a", 1);

        (void)state;
        check(dal_key_composite(&id, 1), UINT64_C(0x810879608e4259cc), 8258, DAL_TYPE_INT64);
        check(dal_key_composite(&text, 1), UINT64_C(0xea3fd43be1e57d62), 14991, DAL_TYPE_TEXT);
        check(dal_key_composite(&id16, 1), UINT64_C(0xcee82307e6ad54d9), 13242, DAL_TYPE_UUID);
        check(dal_key_composite(&bytes, 1), UINT64_C(0xca978112ca1bbdca), 12965, DAL_TYPE_BYTES);
}

static void test_key__no_key_from_nothing_or_a_foreign_type(void **state)
{
        const dal_value refused[] = {dal_null(),         dal_bool(true), dal_uint64(1),
                                     dal_double(1),      dal_date(1),    dal_timestamp(1),
                                     dal_decimal("1"),   dal_text(NULL), dal_value_of_type(DAL_TYPE_OTHER),
                                     dal_text_n(NULL, 3)};
        dal_key keys[5];

        (void)state;
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
                const dal_value pair[] = {dal_int64(1), refused[i]};
                dal_key single = dal_key_composite(&refused[i], 1);
                dal_key both = dal_key_composite(pair, 2);

                assert_false(dal_key_is_set(&single));
                assert_false(dal_key_is_set(&both));
                assert_true(both.hash == 0);
                assert_int_equal(both.n_label, 0);
        }
        keys[0] = dal_key_text(NULL);
        keys[1] = dal_key_bytes(NULL, 0);
        keys[2] = dal_key_uuid(NULL);
        keys[3] = dal_key_composite(NULL, 0);
        keys[4] = dal_key_composite(refused, 0);
        for (size_t i = 0; i < 5; i++)
                assert_false(dal_key_is_set(&keys[i]));
}

static void assert_described(dal_key key, const char *expected)
{
        char text[DAL_KEY_TEXT_SIZE];

        assert_string_equal(dal_key_describe(&key, text), expected);
}

static void test_key__text_for_messages(void **state)
{
        const dal_value parts[] = {dal_int64(-7), dal_text("x"), dal_bytes("\x0A\xFF", 2)};

        (void)state;
        assert_described(dal_key_int64(INT64_MIN), "-9223372036854775808");
        assert_described(dal_key_uuid(uuid), "550e8400-e29b-41d4-a716-446655440000");
        assert_described(dal_key_bytes("\x0A\xFF", 2), "0aff");
        assert_described(dal_key_composite(parts, 3), "(-7, x, 0aff)");
        assert_described(dal_key_text(NULL), "");
        /* 18 bytes are 36 digits; half a byte is never shown */
        assert_described(dal_key_bytes("01234567890123456789", 20), "303132333435363738393031323334353637");
        assert_described(dal_key_text("0123456789012345678901234567890123456789"),
                         "0123456789012345678901234567890123456");
        /* 36 bytes and a character of three: it does not fit and goes as a whole. */
        assert_described(dal_key_text("012345678901234567890123456789012345\xE2\x82\xAC"),
                         "012345678901234567890123456789012345");
        assert_int_equal(strlen(dal_key_describe(&(dal_key){0}, (char[DAL_KEY_TEXT_SIZE]){0})), 0);
}

static void test_key__consecutive_ids_spread_over_the_slots(void **state)
{
        static uint16_t counts[DAL_N_SLOTS];
        uint32_t n_used = 0;

        (void)state;
        for (int64_t id = 0; id < 200000; id++) {
                dal_key key = dal_key_int64(id);

                assert_true(dal_key_slot(&key) < DAL_N_SLOTS);
                counts[dal_key_slot(&key)]++;
        }
        for (size_t i = 0; i < DAL_N_SLOTS; i++) {
                n_used += counts[i] > 0;
                assert_true(counts[i] < 40); /* 12.2 expected */
        }
        assert_true(n_used > DAL_N_SLOTS * 99 / 100);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_key__int64_vectors),
                cmocka_unit_test(test_key__sha256_vectors),
                cmocka_unit_test(test_key__text_is_its_bytes),
                cmocka_unit_test(test_key__composite_vectors),
                cmocka_unit_test(test_key__composite_parts_do_not_run_together),
                cmocka_unit_test(test_key__composite_of_one_part_is_that_part),
                cmocka_unit_test(test_key__no_key_from_nothing_or_a_foreign_type),
                cmocka_unit_test(test_key__text_for_messages),
                cmocka_unit_test(test_key__consecutive_ids_spread_over_the_slots),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
