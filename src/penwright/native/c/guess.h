// Guesses of the next token, from a corpus as a suffix array: an n-gram model of two tokens of
// context, what the model thought of a token in the last steps, and the noise that the token will
// be drawn with. As the noise favours the same token in both, the guess is right far more often
// than the likeliest token would be.
//
// What follows a context is estimated from a sample of its places, and mixed with what follows the
// shorter context by the number of different tokens (Witten and Bell, "The zero-frequency problem",
// 1991).
//
// The corpus is larger than the processor's caches, so a guess takes as long as its reads of
// memory; those that do not depend on each other go on at the same time.
#pragma once

#include "choose.h"

enum { CONTEXT = 2, PLACES = 256, MOST_BLOCKS = 8, ROOM = PLACES + MOST_BLOCKS, REPEATS = 64 };
static const int64_t PLACES_OF[CONTEXT + 1] = {0, 128, PLACES};  // sampled behind n tokens

// Measured: with these, the most guesses were right. The exponents are those of a product of
// probabilities, which the temperature divides.
static const float NEWNESS = 4;       // how much each different token counts against a context
static const float SHARPNESS = 1.3f;  // exponent of the n-gram model
static const float RECENT = 0.35f;    // exponent of the model's mean of the last steps
static const float RARE = -0.2f;      // exponent of the share that a token has of the corpus
static const float REPEATED = 0.85f;  // log of the factor of what the text had here before
static const float FADING = 0.5f;     // of the mean, from step to step

// Return the token `depth` behind the beginning of a slot's suffix.
INLINE int64_t token_at(const Corpus *corpus, const CorpusBlock *block, int64_t slot, int depth) {
    size_t at = (size_t)block->suffixes[slot] + (size_t)depth;
    return corpus->wide ? ((const uint32_t *)block->line)[at] : ((const uint16_t *)block->line)[at];
}

// Narrow [low, high) down to the slots whose token at `depth` is `token`. Each round looks at 15
// slots for both ends, so their memory is read at the same time.
static void find_slots(const Corpus *corpus, const CorpusBlock *block, int64_t *low, int64_t *high,
                       int depth, int64_t token) {
    enum { WAYS = 16 };
    int64_t from[2] = {*low, *low}, to[2] = {*high, *high};
    while (from[0] < to[0] || from[1] < to[1])
        for (int end = 0; end < 2; end++) {
            int64_t step = (to[end] - from[end]) / WAYS + 1, smaller = 0;
            for (int64_t way = 1; way < WAYS; way++) {
                int64_t slot = from[end] + way * step - 1;
                int64_t inside = slot < to[end] ? slot : from[end];
                int64_t found = token_at(corpus, block, inside, depth);
                smaller += (slot < to[end]) & (found < token + end);
            }
            int64_t next = from[end] + (smaller + 1) * step - 1;
            from[end] += smaller * step;
            to[end] = next < to[end] ? next : to[end];
        }
    *low = from[0], *high = from[1];
}

typedef struct {
    int n;
    size_t where[ROOM];             // places on the lines of tokens
    const CorpusBlock *block[ROOM];
    float weight[ROOM];             // how many places one stands for
} Sample;

// Sample the places behind a context of n tokens, and ask for the memory of the tokens there.
static void sample_places(const Corpus *corpus, const int32_t *context, int n, Sample *sample) {
    int64_t low[MOST_BLOCKS], size[MOST_BLOCKS], all = 0, places = PLACES_OF[n];
    for (int b = 0; b < corpus->blocks; b++) {
        const CorpusBlock *block = &corpus->block[b];
        int64_t high = block->firsts[context[0] + 1];
        low[b] = block->firsts[context[0]];
        for (int depth = 1; depth < n && low[b] < high; depth++)
            find_slots(corpus, block, &low[b], &high, depth, context[depth]);
        all += size[b] = high - low[b];
    }
    sample->n = 0;
    for (int b = 0; b < corpus->blocks; b++) {
        const CorpusBlock *block = &corpus->block[b];
        int64_t taken = all <= places ? size[b] : (size[b] * places + all - 1) / all;
        if (!taken) continue;
        int64_t step = (size[b] << 16) / taken;
        for (int64_t i = 0; i < taken; i++) {
            size_t where = (size_t)block->suffixes[low[b] + (i * step >> 16)] + (size_t)n;
            __builtin_prefetch((const char *)block->line + where * (corpus->wide ? 4 : 2));
            sample->where[sample->n] = where;
            sample->block[sample->n] = block;
            sample->weight[sample->n++] = (float)size[b] / (float)taken;
        }
    }
}

// Add the share of each token that stands at the places to its mass, as much as `rest` leaves;
// returns what is left.
static float add_followers(Corpus *corpus, const Sample *sample, float rest, Candidates *seen) {
    int32_t token[ROOM];
    float weight[ROOM], places = 0;
    int n = 0, different = 0;
    corpus->turn++;
    for (int i = 0; i < sample->n; i++) {
        size_t where = sample->where[i];
        const void *line = sample->block[i]->line;
        int64_t found = corpus->wide ? ((const uint32_t *)line)[where]
                                     : ((const uint16_t *)line)[where];
        int inside = found < corpus->vocabulary;  // not the end of a text
        token[n] = (int32_t)found;
        weight[n] = sample->weight[i];
        n += inside;
    }
    for (int i = 0; i < n; i++) {
        CorpusToken *entry = &corpus->token[token[i]];
        different += entry->met != corpus->turn;
        entry->met = corpus->turn;
        places += weight[i];
    }
    if (!n) return rest;
    float share = rest / (places + NEWNESS * (float)different);
    for (int i = 0; i < n; i++) {
        CorpusToken *entry = &corpus->token[token[i]];
        seen->id[seen->n] = token[i];
        seen->n += entry->mass == 0;
        entry->mass += share * weight[i];
    }
    return share * NEWNESS * (float)different;
}

// Return a guess of the token that `choice` will be behind a text of n > 0 tokens. Returns a
// negative number where nothing is known.
static int32_t guess_token(Corpus *corpus, const int32_t *text, int n, const Choice *choice) {
    int32_t id[CONTEXT * ROOM + REPEATS + LANES], last = text[n - 1];
    float value[CONTEXT * ROOM + REPEATS + LANES], rest = 1;
    Candidates seen = {0, value, id};
    Sample samples[CONTEXT];
    int longest = 0, repeats = 0;
    while (longest < CONTEXT && longest < n && text[n - 1 - longest] < corpus->vocabulary)
        longest++;
    if (!longest) return -1;
    for (int at = n - 1; at > 0 && repeats < REPEATS; at--)
        if (text[at - 1] == last && text[at] < corpus->vocabulary &&
            corpus->token[text[at]].mass == 0) {
            corpus->token[text[at]].mass = 1e-30f;  // it is among the candidates
            id[seen.n++] = text[at];
            repeats = seen.n;
        }
    for (int length = 1; length <= longest; length++)
        sample_places(corpus, text + n - length, length, &samples[length - 1]);
    for (int length = longest; length > 0; length--)
        rest = add_followers(corpus, &samples[length - 1], rest, &seen);
    float temperature = choice->greedy ? 1 : (float)choice->temperature;
    int best = 0;
    for (int i = 0; i < seen.n; i++) {
        CorpusToken *entry = &corpus->token[id[i]];
        float score = SHARPNESS * logf(entry->mass + rest * entry->share) +
                      RARE * entry->log_share + (i < repeats ? REPEATED : 0);
        value[i] = score / temperature + RECENT * corpus->recent[id[i]];
        entry->mass = 0;
        if (value[i] > value[best]) best = i;
    }
    if (!seen.n) return -1;
    return id[choice->greedy ? best : draw(&seen, choice)];
}

// Take the scores of a step, divided by the temperature, into the mean of the last steps.
static void remember(Corpus *corpus, const float *scores, int vocabulary) {
    for (int i = 0; i < corpus->vocabulary && i < vocabulary; i += LANES) {
        vf old = load(corpus->recent + i), new = load(scores + i);
        vi ruled_out = new == splat(-INFINITY);
        store(corpus->recent + i, choose(ruled_out, old, old * FADING + new * (1 - FADING)));
    }
}
