/* SPDX-License-Identifier: MIT */
#include "run/batch_impl.h"
#include "run/tx_impl.h"

dal_status dal_tx_batch(dal_tx *tx, dal_batch **out, dal_error *err)
{
        dal_status s;

        if (!out)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "dal_tx_batch() needs a place for the batch");
        *out = NULL;
        s = dal__tx_check_caller(tx, err);
        if (s == DAL_OK)
                s = dal__batch_new(out, err);
        if (s)
                return s;
        (*out)->tx = tx;
        (*out)->next = tx->batches;
        if (tx->batches)
                tx->batches->previous = *out;
        tx->batches = *out;
        return DAL_OK;
}

void dal__tx_forget_batch(dal_batch *batch)
{
        if (!batch->tx)
                return;
        if (batch->previous)
                batch->previous->next = batch->next;
        else
                batch->tx->batches = batch->next;
        if (batch->next)
                batch->next->previous = batch->previous;
}

void dal__tx_abandon_batches(dal_tx *tx)
{
        for (dal_batch *batch = tx->batches; batch; batch = batch->next)
                dal__batch_abandon(batch);
}

void dal__tx_free_batches(dal_tx *tx)
{
        while (tx->batches) {
                dal_batch *batch = tx->batches;

                dal__tx_forget_batch(batch);
                dal__batch_free(batch);
        }
}
