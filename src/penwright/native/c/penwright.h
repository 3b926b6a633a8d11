// The GPT-2 decoder's data, shared by C and Python, where packed.py, decoder.py and
// guesses.py mirror these structs.
//
// Weights lie in panels of 32 outputs. Inside a panel the inputs follow one another, each with its
// 32 values side by side, so a product reads memory once from front to back, keeps its sums in
// registers, and needs no sum across a register. Every instruction set reads the same layout:
//
//   F32   [panel][input][32]
//   BF16  [panel][input / 2][32][2]
//   INT8  [panel][input / 4][32][4]     value + 128, times one scale for each output
//   INT4  [panel][group of 32 inputs] of  [4][32][4] bytes and 32 bfloat16 scales:
//         byte j of [k] holds inputs 8 k + j (low half) and 8 k + 4 + j (high half), as places in
//         a table of 16 values
//
// Inputs of INT8 and INT4 products are int8 in groups of 32, each group with its scale and sum.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PANEL = 32, GROUP = 32, PAGE = 32, MAX_THREADS = 64 };
enum { F32, BF16, INT8, INT4 };
enum { NOT_NUMBERS = -1, ALL_RULED_OUT = -2, OUT_OF_MEMORY = -3 };  // instead of a token

typedef struct Matrix {
    int32_t type, outputs, inputs, padded;  // padded: inputs rounded up to a multiple of GROUP
    const void *data;
    const float *scale;  // INT8: one for each output
    const float *bias;   // or NULL
    const struct Matrix *down, *up;  // or NULL: up . (down . x) is added, an adapter's F32 factors
} Matrix;

typedef struct {
    const float *weight, *bias;
} Norm;

typedef struct {
    Norm norm1, norm2;
    Matrix qkv, proj, fc, out;
    float scale;  // of the attention scores
} Layer;

typedef struct {
    int32_t layers, heads, width, inner, context, norm_last, tanh_gelu, narrow_cache;
    int32_t rank;  // the largest of its adapter's factors, or 0
    float epsilon;
    Norm last;
    Matrix embedding, head;
    const float *positions;  // [context, width]
    const Layer *layer;
} Model;

// New tokens for some rows: row r has starts[r] tokens in its cache and counts[r] new ones.
// A page of the cache holds the keys and values of PAGE tokens of one row, for each layer and head;
// see attention.h. Page i of row r is pages[r * stride + i].
typedef struct {
    int32_t rows, stride;
    const int32_t *starts, *counts, *tokens;
    char *const *pages;
} Feed;

enum { MOST_REFUSED = 8 };

// The settings of one row's choice of a token; `key` and `step` name its random numbers.
typedef struct {
    uint64_t key;
    int64_t step, min_new;  // no end token may be chosen before step `min_new`
    double temperature, top_p, min_p;
    int32_t top_k, greedy, limit, last;  // write `limit` tokens at most, after the token `last`
    int32_t n_refused, refused[MOST_REFUSED];  // tokens that the first must not be
} Choice;

// Texts that resemble what is written, as the suffix array of a line of tokens; see guess.h.
typedef struct {
    const uint32_t *suffixes;  // places on the line, in the order of their suffixes
    const void *line;          // tokens of 16 or 32 bits; behind each text one that is too large
    const int64_t *firsts;     // [vocabulary + 1]: the first slot whose suffix begins with a token
} CorpusBlock;

typedef struct {
    float share, log_share;  // of the corpus
    float mass;              // zero between calls
    uint32_t met;            // the last turn in which the token was met
} CorpusToken;

typedef struct {
    const CorpusBlock *block;
    int32_t blocks, wide, vocabulary;  // wide: tokens have 32 bits
    uint32_t turn;
    CorpusToken *token;  // [vocabulary]
    float *recent;       // [vocabulary], up to a multiple of 16: mean scores of the last steps
} Corpus;

enum { MOST_GUESSES = 8 };

// How one row is to be guessed ahead, and how that went.
typedef struct {
    Corpus *corpus;
    int32_t length, enough;  // tokens to guess in each pass, and to write, `limit` allowing
    int32_t *text, n;        // the text up to `last`, with room for `limit` tokens more
    int32_t passes, guessed, right, wrong;  // wrong: passes with a guess that was not right
} Guesses;

// ---- threads (pool.c) -----------------------------------------------------------------------
// A job is a number of items; whichever thread is free takes the next few.
typedef void (*Work)(void *job, int item, int thread);

typedef void (*Parallel)(void (*)(void *), void *, unsigned, unsigned);  // GOMP_parallel

typedef struct Pool Pool;
Pool *pw_pool(int threads);
void pw_short_turns(int threads, Parallel parallel);
void pw_pool_free(Pool *pool);
int pool_threads(const Pool *pool);
void *pool_scratch(Pool *pool, size_t bytes);  // one block, for the caller; NULL without memory
void pool_run(Pool *pool, Work work, void *job, int items, int take);
