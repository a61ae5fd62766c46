/* SPDX-License-Identifier: MIT */
#include "payment.h"

static const dal_stmt book =
        DAL_STMT("payment.book", "INSERT INTO payments (invoice_no, part, amount_micros, state)"
                                 " VALUES (?, ?, ?, 'booked')");

dal_status payment_book(dal_tx *tx, const char *invoice_no, int64_t part, int64_t amount_micros,
                        dal_error *err)
{
        return dal_tx_queue(tx, &book,
                            DAL_PARAMS(dal_text(invoice_no), dal_int64(part), dal_int64(amount_micros)), err);
}
