// Guesses of the next token, from a corpus as a suffix array: an n-gram model of two tokens of
// context, with the noise that the token will be drawn with. As the noise favours the same token in
// both, the guess is right far more often than the likeliest token would be.
//
// What follows a context is estimated from a sample of its places, and mixed with what follows the
// shorter context by the number of different tokens (Witten and Bell, "The zero-frequency problem",
// 1991).
#pragma once

#include "choose.h"

enum { CONTEXT = 2, PLACES = 256, MOST_BLOCKS = 8, ROOM = PLACES + MOST_BLOCKS };

static const double NEWNESS = 4, SHARPNESS = 1.3;  // measured: the most guesses were right

// Return the token `depth` behind the beginning of a slot's suffix.
INLINE int64_t token_at(const Corpus *corpus, const CorpusBlock *block, int64_t slot, int depth) {
    size_t at = (size_t)block->suffixes[slot] + (size_t)depth;
    return corpus->wide ? ((const uint32_t *)block->line)[at] : ((const uint16_t *)block->line)[at];
}

// Return the first slot in [low, high) whose token at `depth` is at least `token`.
static int64_t find_slot(const Corpus *corpus, const CorpusBlock *block, int64_t low, int64_t high,
                         int depth, int64_t token) {
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (token_at(corpus, block, middle, depth) < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct {
    int n;
    int32_t token[ROOM];
    double count[ROOM];  // how many places it stands for
    double places, different;
} Followers;

// Sample what follows the n tokens of a context.
static void find_followers(Corpus *corpus, const int32_t *context, int n, Followers *found) {
    int64_t low[MOST_BLOCKS], size[MOST_BLOCKS], all = 0;
    for (int b = 0; b < corpus->blocks; b++) {
        const CorpusBlock *block = &corpus->block[b];
        int64_t high = block->firsts[context[0] + 1];
        low[b] = block->firsts[context[0]];
        for (int depth = 1; depth < n; depth++) {
            low[b] = find_slot(corpus, block, low[b], high, depth, context[depth]);
            high = find_slot(corpus, block, low[b], high, depth, context[depth] + 1L);
        }
        all += size[b] = high - low[b];
    }
    *found = (Followers){.n = 0};
    corpus->turn++;
    for (int b = 0; b < corpus->blocks; b++) {
        int64_t taken = all <= PLACES ? size[b] : (size[b] * PLACES + all - 1) / all;
        for (int64_t i = 0; i < taken; i++) {
            int64_t slot = low[b] + i * size[b] / taken;
            int64_t token = token_at(corpus, &corpus->block[b], slot, n);
            if (token >= corpus->vocabulary) continue;  // the end of a text
            found->different += corpus->met[token] != corpus->turn;
            corpus->met[token] = corpus->turn;
            found->token[found->n] = (int32_t)token;
            found->places += found->count[found->n++] = (double)size[b] / (double)taken;
        }
    }
}

// Return a guess of the token that `choice` will be, behind `before` and `last`; `before` may be
// negative. Returns a negative number where nothing is known.
static int32_t guess_token(Corpus *corpus, int32_t before, int32_t last,
                           const Choice *choice) {
    int32_t context[CONTEXT] = {before, last}, id[CONTEXT * ROOM + LANES];
    float value[CONTEXT * ROOM + LANES];
    Candidates seen = {0, value, id};
    Followers found;
    double rest = 1, total = 0;
    if (last >= corpus->vocabulary || before >= corpus->vocabulary) return -1;
    for (int n = before < 0 ? 1 : CONTEXT; n > 0; n--) {
        find_followers(corpus, context + CONTEXT - n, n, &found);
        if (!found.n) continue;
        double share = rest / (found.places + NEWNESS * found.different);
        for (int i = 0; i < found.n; i++) {
            float *mass = &corpus->mass[found.token[i]];
            if (*mass == 0) id[seen.n++] = found.token[i];
            *mass += (float)(share * found.count[i]);
        }
        rest = share * NEWNESS * found.different;
    }
    for (int b = 0; b < corpus->blocks; b++)
        total += (double)corpus->block[b].firsts[corpus->vocabulary];
    double temperature = choice->greedy ? 1 : choice->temperature;
    for (int i = 0; i < seen.n; i++) {
        double often = 0;
        for (int b = 0; b < corpus->blocks; b++) {
            const int64_t *firsts = corpus->block[b].firsts + id[i];
            often += (double)(firsts[1] - firsts[0]);
        }
        value[i] = (float)(SHARPNESS / temperature *
                           log(corpus->mass[id[i]] + rest * often / total));
        corpus->mass[id[i]] = 0;
    }
    if (!seen.n) return -1;
    if (!choice->greedy) return id[draw(&seen, choice)];
    int best = 0;
    for (int i = 1; i < seen.n; i++)
        if (value[i] > value[best]) best = i;
    return id[best];
}
