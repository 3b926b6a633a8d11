// The decoder: new tokens in, logits out. This file is compiled once for each instruction set, with
// VARIANT as the ending of its public names.
//
// A pass is a sequence of jobs for the pool: embed and norm (an item is a token), product (some
// panels), attention (a row and a head). C width, D width of a head.
#include "penwright.h"

#include <stdlib.h>

#include "attention.h"
#include "guess.h"
#include "pack.h"

#define JOIN(name, variant) pw_##name##_##variant
#define EXPAND(name, variant) JOIN(name, variant)
#define PUBLIC(name) EXPAND(name, VARIANT)

enum { QUERIES = FLOAT_ROWS, PIECE = 96 };  // rows of a score block; rows of a product's item

// What a pass needs besides the model; all rows are `padded` floats or quantised groups.
typedef struct {
    const Model *model;
    Pool *pool;
    const Feed *feed;
    int tokens, quantised, head_padded;
    int longest;      // of the rows, in tokens, as whole pages
    int32_t *place;   // of each new token in its row
    int32_t *firsts; // of each row, its first new token
    float *x, *qkv;
    Input thin, inner;  // inputs of products: `width` or `inner` values
    Input low;          // between the two factors of an adapter: `rank` values
    float *scores;      // of each thread, [QUERIES][longest], then [QUERIES][head_padded]
    const char **page_pointers;  // of each thread, of a row's pages
} Pass;

// ---- memory --------------------------------------------------------------------------------

typedef struct {
    char *at;
    size_t bytes;
} Arena;

static void *carve(Arena *arena, size_t bytes) {
    char *begin = arena->at ? arena->at + arena->bytes : NULL;
    arena->bytes += (bytes + 63) / 64 * 64;
    return begin;
}

// Return how many items a thread takes at least, each of which reads `bytes`. Sharing a job costs
// a microsecond or more: one of a few is done alone.
INLINE int least_items(int items, long bytes) {
    return items * bytes < 1 << 18 ? items : (int)(1 + (1 << 16) / bytes);
}

INLINE int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

static Input carve_input(Arena *arena, int rows, int width) {
    int stride = round_up(width, GROUP);
    size_t n = (size_t)rows * (size_t)stride;
    float *value = carve(arena, n * 4), *scale = carve(arena, n / GROUP * 4);
    int8_t *quant = carve(arena, n);
    return (Input){value, quant, scale, carve(arena, n / GROUP * 4), stride};
}

static void lay_out(Pass *p, Arena *arena) {
    const Model *m = p->model;
    size_t n = (size_t)p->tokens, threads = (size_t)pool_threads(p->pool);
    p->place = carve(arena, n * 4);
    p->firsts = carve(arena, (size_t)p->feed->rows * 4);
    p->x = carve(arena, n * (size_t)m->width * 4);
    p->qkv = carve(arena, n * 3 * (size_t)m->width * 4);
    p->thin = carve_input(arena, p->tokens, m->width);
    p->inner = carve_input(arena, p->tokens, m->inner);
    p->low = carve_input(arena, p->tokens, m->rank);
    p->scores = carve(arena, threads * QUERIES * (size_t)(p->longest + p->head_padded) * 4);
    p->page_pointers = carve(arena, threads * (size_t)p->longest / PAGE * sizeof(char *));
}

// ---- norms and embeddings -------------------------------------------------------------------

static void layer_norm(const Norm *norm, float epsilon, const float *x, int width, float *y) {
    vf sums = splat(0), squares = splat(0);
    int whole = width / LANES * LANES;
    float sum = 0, square = 0;
    for (int i = 0; i < whole; i += LANES) sums += load(x + i);
    for (int i = whole; i < width; i++) sum += x[i];
    float mean = (sum_of(sums) + sum) / (float)width;
    for (int i = 0; i < whole; i += LANES) {
        vf d = load(x + i) - mean;
        squares += d * d;
    }
    for (int i = whole; i < width; i++) square += (x[i] - mean) * (x[i] - mean);
    float factor = 1 / sqrtf((sum_of(squares) + square) / (float)width + epsilon);
    for (int i = 0; i < whole; i += LANES)
        store(y + i, (load(x + i) - mean) * factor * load(norm->weight + i) + load(norm->bias + i));
    for (int i = whole; i < width; i++)
        y[i] = (x[i] - mean) * factor * norm->weight[i] + norm->bias[i];
}

static void quantise(const Pass *p, Input all, int token, int first, int last) {
    if (!p->quantised) return;
    Input row = input_at(all, token);
    for (int i = first; i < last; i += GROUP)
        quantise_group(row.value + i, row.quant + i, row.scale + i / GROUP, row.sum + i / GROUP);
}

typedef struct {
    const Pass *pass;
    const Norm *inside, *before;  // applied to x itself; applied to the inputs of the product
    const int32_t *which;         // the tokens, or NULL for all
    int embed;
} Settle;

// Embed a token or norm its x, and write the inputs of the next product.
static void settle(void *job, int item, int thread) {
    (void)thread;
    const Settle *s = job;
    const Pass *p = s->pass;
    const Model *m = p->model;
    int token = s->which ? s->which[item] : item;
    float *x = p->x + (long)token * m->width;
    if (s->embed) {
        read_row(&m->embedding, p->feed->tokens[token], x);
        const float *position = m->positions + (long)p->place[token] * m->width;
        for (int i = 0; i < m->width; i++) x[i] += position[i];
    }
    if (s->inside) layer_norm(s->inside, m->epsilon, x, m->width, x);
    float *y = p->thin.value + (long)item * p->thin.stride;
    if (s->before)
        layer_norm(s->before, m->epsilon, x, m->width, y);
    else
        memcpy(y, x, (size_t)m->width * 4);
    for (int i = m->width; i < p->thin.stride; i++) y[i] = 0;
    quantise(p, p->thin, item, 0, p->thin.stride);
}

static void run_settle(const Pass *p, int embed, const Norm *inside, const Norm *before,
                       const int32_t *which, int n) {
    Settle job = {p, inside, before, which, embed};
    pool_run(p->pool, settle, &job, n, 8);
}

// ---- products -------------------------------------------------------------------------------

enum { STORE, ADD, GELU };

typedef struct {
    const Pass *pass;
    const Matrix *m;
    Input x;
    float *out;
    long out_stride;
    int rows, panels, then;
} Product;

static void finish(const Product *job, int panel, int row, const float *c) {
    const Matrix *m = job->m;
    int first = panel * PANEL, n = m->outputs - first;
    float *out = job->out + (long)row * job->out_stride + first;
    float result[PANEL];
    for (int i = 0; i < PANEL; i += LANES) {
        vf x = load(c + i);
        if (m->bias) x += load(m->bias + first + i);
        if (job->then == GELU) x = job->pass->model->tanh_gelu ? gelu_tanh(x) : gelu_erf(x);
        if (job->then == ADD && n >= PANEL) x += load(out + i);
        store(n >= PANEL ? out + i : result + i, x);
    }
    for (int i = 0; n < PANEL && i < n; i++) out[i] = result[i] + (job->then == ADD ? out[i] : 0);
}

static void multiply(void *data, int item, int thread) {
    (void)thread;
    const Product *job = data;
    int panel = item % job->panels, first = item / job->panels * PIECE;
    int n = job->rows - first < PIECE ? job->rows - first : PIECE;
    int most = rows_at_once(job->m->type), blocks = (n + most - 1) / most;
    float c[MAX_ROWS * PANEL], more[MAX_ROWS * PANEL];
    for (int block = 0; block < blocks; block++) {
        int begin = first + n * block / blocks, rows = first + n * (block + 1) / blocks - begin;
        product(job->m, panel, rows, input_at(job->x, begin), c);
        if (job->m->up) {
            product(job->m->up, panel, rows, input_at(job->pass->low, begin), more);
            for (int i = 0; i < rows * PANEL; i++) c[i] += more[i];
        }
        for (int r = 0; r < rows; r++) finish(job, panel, begin + r, c + r * PANEL);
    }
}

// The inner values of the feed-forward layer are inputs of the next product: a panel of outputs is
// a group of inputs, and is quantised at once.
static void multiply_inner(void *data, int item, int thread) {
    multiply(data, item, thread);
    const Product *job = data;
    int panel = item % job->panels, first = item / job->panels * PIECE;
    for (int row = first; row < first + PIECE && row < job->rows; row++) {
        for (int i = job->m->outputs; i < (panel + 1) * PANEL; i++)
            job->out[row * job->out_stride + i] = 0;
        quantise(job->pass, job->pass->inner, row, panel * PANEL, (panel + 1) * PANEL);
    }
}

static void run_product(const Pass *p, const Matrix *m, Input x, int rows, float *out,
                        long out_stride, int then) {
    if (m->down) run_product(p, m->down, x, rows, p->low.value, p->low.stride, STORE);
    Product job = {p, m, x, out, out_stride, rows, (m->outputs + PANEL - 1) / PANEL, then};
    int items = job.panels * ((rows + PIECE - 1) / PIECE);
    long bytes = panel_bytes(m) * (rows < 8 ? 1 : rows / 4);
    pool_run(p->pool, then == GELU ? multiply_inner : multiply, &job, items,
             least_items(items, bytes));
}

// ---- attention ------------------------------------------------------------------------------

typedef struct {
    const Pass *pass;
    int layer, keep_only;  // keep_only: nobody reads what the layer computes
} Attention;

static void attend(void *data, int item, int thread) {
    const Attention *job = data;
    const Pass *p = job->pass;
    const Model *m = p->model;
    const Feed *feed = p->feed;
    int row = item / m->heads, head = item % m->heads, d = m->width / m->heads;
    int wide = p->head_padded, start = feed->starts[row], count = feed->counts[row];
    int first = p->firsts[row], narrow = m->narrow_cache, pages = (start + count + PAGE - 1) / PAGE;
    long stride = 3L * m->width, half = (long)wide * PAGE * (narrow ? 2 : 4);
    const char **keys = p->page_pointers + (long)thread * (p->longest / PAGE);
    for (int page = 0; page < pages; page++)
        keys[page] = feed->pages[(long)row * feed->stride + page] +
                     ((long)job->layer * m->heads + head) * 2 * half;
    for (int i = 0; i < count; i++) {
        int place = start + i;
        char *page = (char *)keys[place / PAGE];
        const float *key = p->qkv + (first + i) * stride + m->width + head * d;
        write_token(narrow, page, page + half, place % PAGE, d, wide, key, key + m->width);
    }
    if (job->keep_only) return;
    float *score = p->scores + (long)thread * QUERIES * (p->longest + wide);
    float *mixed = score + QUERIES * (long)p->longest;
    for (int done = 0; done < count; done += QUERIES) {
        int rows = count - done < QUERIES ? count - done : QUERIES, known = start + done + rows;
        const float *query = p->qkv + (first + done) * stride + head * d;
        score_pages(narrow, rows, query, stride, keys, (known + PAGE - 1) / PAGE, d, half, score,
                    p->longest);
        for (int r = 0; r < rows; r++) {
            int seen = start + done + r + 1;
            softmax(score + (long)r * p->longest, seen, m->layer[job->layer].scale);
            for (int i = seen; i <= known; i++) score[(long)r * p->longest + i] = 0;
        }
        for (int page = 0; page * PAGE < known; page++) {
            int n = known - page * PAGE < PAGE ? known - page * PAGE : PAGE;
            mix_values(narrow, rows, score + page * PAGE, p->longest, keys[page] + half, n, wide,
                       half, mixed, page > 0);
        }
        for (int r = 0; r < rows; r++) {
            int token = first + done + r;
            float *to = p->thin.value + (long)token * p->thin.stride + head * d;
            memcpy(to, mixed + (long)r * wide, (size_t)d * 4);
            if (d % GROUP == 0) quantise(p, p->thin, token, head * d, (head + 1) * d);
        }
    }
}

// Quantise whole rows, where the width of a head is no multiple of a group.
static void quantise_rows(void *data, int token, int thread) {
    (void)thread;
    const Pass *p = data;
    int stride = p->thin.stride;
    for (int i = p->model->width; i < stride; i++) p->thin.value[(long)token * stride + i] = 0;
    quantise(p, p->thin, token, 0, stride);
}

// ---- a pass ---------------------------------------------------------------------------------

// Write the logits of the tokens `wanted`, or only fill the cache when there are none.
static void run_layers(const Pass *p, const int32_t *wanted, int n_wanted, float *logits,
                       long stride) {
    const Model *m = p->model;
    int n = p->tokens, last = m->norm_last;
    const Norm *inside = NULL;
    for (int number = 0; number < m->layers; number++) {
        const Layer *layer = &m->layer[number];
        run_settle(p, number == 0, inside, last ? NULL : &layer->norm1, NULL, n);
        run_product(p, &layer->qkv, p->thin, n, p->qkv, 3L * m->width, STORE);
        Attention attention = {p, number, number == m->layers - 1 && !n_wanted};
        int heads = p->feed->rows * m->heads;
        long cached = 2L * p->longest * m->width / m->heads * (m->narrow_cache ? 2 : 4);
        pool_run(p->pool, attend, &attention, heads, least_items(heads, cached));
        if (attention.keep_only) return;
        if (m->width / m->heads % GROUP) pool_run(p->pool, quantise_rows, (void *)p, n, 1);
        run_product(p, &layer->proj, p->thin, n, p->x, m->width, ADD);
        run_settle(p, 0, last ? &layer->norm1 : NULL, last ? NULL : &layer->norm2, NULL, n);
        run_product(p, &layer->fc, p->thin, n, p->inner.value, p->inner.stride, GELU);
        run_product(p, &layer->out, p->inner, n, p->x, m->width, ADD);
        inside = last ? &layer->norm2 : NULL;
    }
    run_settle(p, 0, inside, last ? NULL : &m->last, wanted, n_wanted);
    run_product(p, &m->head, p->thin, n_wanted, logits, stride, STORE);
}

static int begin(Pass *p, const Model *m, Pool *pool, const Feed *feed, size_t extra,
                 char **extra_at) {
    *p = (Pass){.model = m, .pool = pool, .feed = feed};
    p->quantised = m->head.type == INT8 || m->head.type == INT4;
    p->head_padded = round_up(m->width / m->heads, PANEL);
    for (int row = 0; row < feed->rows; row++) {
        int length = round_up(feed->starts[row] + feed->counts[row] + 1, PAGE);
        p->tokens += feed->counts[row];
        p->longest = length > p->longest ? length : p->longest;
    }
    Arena arena = {NULL, 0};
    lay_out(p, &arena);
    carve(&arena, extra);
    arena = (Arena){pool_scratch(pool, arena.bytes), 0};
    if (!arena.at) return OUT_OF_MEMORY;
    lay_out(p, &arena);
    *extra_at = carve(&arena, extra);
    for (int row = 0, token = 0; row < feed->rows; row++) {
        p->firsts[row] = token;
        for (int i = 0; i < feed->counts[row]; i++) p->place[token++] = feed->starts[row] + i;
    }
    return 0;
}

// Feed the new tokens, and write the logits [n_wanted, vocabulary] behind the tokens `wanted`.
int PUBLIC(feed)(const Model *m, Pool *pool, const Feed *feed, const int32_t *wanted, int n_wanted,
                 float *logits) {
    Pass pass;
    char *unused;
    int failed = begin(&pass, m, pool, feed, 0, &unused);
    if (!failed) run_layers(&pass, wanted, n_wanted, logits, m->head.outputs);
    return failed;
}

typedef struct {
    const Choice *choices;
    const int32_t *living, *ends;
    float *logits;
    int32_t *chosen;
    Candidates *candidates;  // of each thread
    long stride;
    int vocabulary, n_ends;
} Choosing;

static void choose_one(void *job, int item, int thread) {
    const Choosing *c = job;
    Candidates candidates = c->candidates[thread];
    const Choice *choice = &c->choices[c->living[item]];
    float *logits = c->logits + item * c->stride;
    if (choice->step < choice->min_new)
        for (int i = 0; i < c->n_ends; i++)
            if (c->ends[i] < c->vocabulary) logits[c->ends[i]] = -INFINITY;
    for (int i = 0; i < choice->n_refused; i++) logits[choice->refused[i]] = -INFINITY;
    c->chosen[item] = choose_token(logits, c->vocabulary, choice, &candidates);
}

// Give each thread room for candidates, 8 bytes a token.
static void divide(char *room, Candidates *candidates, int threads, long stride) {
    for (int t = 0; t < threads; t++, room += stride * 8)
        candidates[t] = (Candidates){0, (float *)room, (int32_t *)(room + stride * 4)};
}

// Choose a token for each of n rows of logits, [n, stride], of which the first `vocabulary` count.
// chosen[r] is negative when there is none.
int PUBLIC(choose)(Pool *pool, const float *logits, long stride, int n, const Choice *choices,
                   int vocabulary, const int32_t *ends, int n_ends, int32_t *chosen) {
    int threads = pool_threads(pool);
    long padded = round_up(vocabulary, PANEL);
    size_t row = (size_t)padded * 4;
    char *room = pool_scratch(pool, (size_t)n * (row + 4) + 64 + (size_t)threads * row * 2);
    if (!room) return OUT_OF_MEMORY;
    Candidates candidates[MAX_THREADS];
    divide(room, candidates, threads, padded);
    float *copy = (float *)(room + (size_t)threads * row * 2);
    int32_t *order = (int32_t *)(copy + n * padded);
    for (int r = 0; r < n; r++) {
        memcpy(copy + r * padded, logits + r * stride, (size_t)vocabulary * 4);
        order[r] = r;
    }
    Choosing job = {choices, order, ends, copy, chosen, candidates, padded, vocabulary, n_ends};
    pool_run(pool, choose_one, &job, n, 1);
    for (int r = 0; r < n; r++)
        if (chosen[r] < 0) return chosen[r];
    return 0;
}

static int is_end(const int32_t *ends, int n, int32_t token) {
    for (int i = 0; i < n; i++)
        if (ends[i] == token) return 1;
    return 0;
}

// Feed `n` tokens, and choose what follows each by the choice of its number. `scores` become the
// logits, divided by the temperature, until the next pass.
static int feed_and_choose(const Model *m, Pool *pool, const Feed *feed, int n,
                           const Choice *choices, int vocabulary, const int32_t *ends, int n_ends,
                           int32_t *chosen, const float **scores) {
    int threads = pool_threads(pool);
    long stride = round_up(m->head.outputs, PANEL);
    size_t rows = (size_t)n * (size_t)stride * 4, numbers = (size_t)round_up(n, 16) * 4;
    char *extra;
    Pass pass;
    int failed = begin(&pass, m, pool, feed, rows + numbers + (size_t)threads * (size_t)stride * 8,
                       &extra);
    if (failed) return failed;
    int32_t *order = (int32_t *)(extra + rows);
    for (int i = 0; i < n; i++) order[i] = i;
    Candidates candidates[MAX_THREADS];
    divide(extra + rows + numbers, candidates, threads, stride);
    run_layers(&pass, order, n, (float *)extra, stride);
    Choosing job = {choices, order, ends, (float *)extra, chosen, candidates, stride, vocabulary,
                    n_ends};
    pool_run(pool, choose_one, &job, n, 1);
    *scores = job.logits;
    return 0;
}

// Guess up to `most` tokens behind the text, ahead of a choice, and how each next one is chosen.
static int guess_ahead(const Guesses *guesses, int most, int vocabulary, const int32_t *ends,
                       int n_ends, Choice *choices) {
    int n = 0;
    if (most > guesses->length) most = guesses->length;
    while (n < most && n < MOST_GUESSES) {
        int known = guesses->n + n;
        int32_t guess = guess_token(guesses->corpus, guesses->text, known, &choices[n]);
        if (guess < 0 || guess >= vocabulary || is_end(ends, n_ends, guess)) break;
        guesses->text[known] = guess;
        choices[n + 1] = choices[n];
        n++;
        choices[n].step++;
        choices[n].n_refused = 0;
    }
    return n;
}

// Append the tokens chosen behind fed ones, as far as those had been guessed right. Returns whether
// the row goes on.
static int take(const int32_t *fed, const int32_t *chosen, int n, Choice *choice,
                const int32_t *ends, int n_ends, int32_t *tokens, int32_t *written,
                Guesses *guesses) {
    for (int i = 0;; i++) {
        int is_right = i + 1 < n && fed[i + 1] == chosen[i] && chosen[i + 1] >= 0;
        if (guesses && i + 1 < n) {
            guesses->right += is_right;
            guesses->wrong += !is_right;
        }
        if (guesses) guesses->text[guesses->n++] = chosen[i];
        tokens[(*written)++] = choice->last = chosen[i];
        choice->step++;
        choice->n_refused = 0;
        int goes_on = *written < choice->limit && !is_end(ends, n_ends, chosen[i]);
        if (!goes_on || !is_right) return goes_on;
    }
}

// Write up to choices[r].limit tokens for each row: feed its last token, choose the next, and so
// on, until it chooses an end token. tokens[r * stride ...] gets them, written[r] their number;
// each written token but the last is in the cache. Returns a negative number when there is none to
// choose. Only the first `vocabulary` tokens can be chosen. `feed` has no counts or tokens.
// A single row may be guessed ahead: then a pass feeds the guesses too, and is worth as many tokens
// as were right, and one.
int PUBLIC(write)(const Model *m, Pool *pool, const Feed *rows, Choice *choices, int vocabulary,
                  const int32_t *ends, int n_ends, int32_t *tokens, int stride, int32_t *written,
                  Guesses *guesses) {
    int n = rows->rows, room = n + MOST_GUESSES;
    int32_t *starts = malloc((size_t)room * 4 * 5), *counts = starts + room;
    int32_t *fed = starts + 2 * room, *living = starts + 3 * room, *chosen = starts + 4 * room;
    const float *scores;
    long row = round_up(m->head.outputs, PANEL);
    Choice *next = malloc((size_t)room * sizeof *next);
    char **pages = malloc((size_t)n * (size_t)rows->stride * sizeof *pages);
    int failed = starts && next && pages ? 0 : OUT_OF_MEMORY, alive = 0;
    for (int r = 0; !failed && r < n; r++) {
        written[r] = 0;
        if (choices[r].limit > 0) living[alive++] = r;
    }
    while (alive && !failed) {
        for (int i = 0; i < alive; i++) {
            int r = living[i];
            starts[i] = rows->starts[r] + written[r];
            counts[i] = 1;
            fed[i] = choices[r].last;
            next[i] = choices[r];
            memcpy(pages + (long)i * rows->stride, rows->pages + (long)r * rows->stride,
                   (size_t)rows->stride * sizeof *pages);
        }
        int total = alive, known = guesses ? guesses->n : 0;
        const int32_t *next_fed = fed;
        if (guesses) {
            int guessed = guess_ahead(guesses, choices[0].limit - written[0] - 1, vocabulary, ends,
                                      n_ends, next);
            next_fed = guesses->text + known - 1;
            total = counts[0] = 1 + guessed;
            guesses->passes++;
            guesses->guessed += guessed;
        }
        Feed feed = {alive, rows->stride, starts, counts, next_fed, pages};
        failed = feed_and_choose(m, pool, &feed, total, next, vocabulary, ends, n_ends, chosen,
                                 &scores);
        int left = 0;
        for (int i = 0; i < alive && !failed; i++) {
            int r = living[i];
            if (chosen[i] < 0)
                failed = chosen[i];
            else if (take(next_fed + i, chosen + i, counts[i], &choices[r], ends, n_ends,
                          tokens + (long)r * stride, &written[r], guesses) &&
                     !(guesses && written[r] >= guesses->enough))
                living[left++] = r;
        }
        for (int i = 0; guesses && guesses->length && i < guesses->n - known; i++)
            remember(guesses->corpus, scores + i * row, vocabulary);
        alive = left;
    }
    free(starts);
    free(next);
    free(pages);
    return failed;
}

// Guess the token behind a text, for tests.
int PUBLIC(guess)(Corpus *corpus, const int32_t *text, int n, const Choice *choice) {
    return guess_token(corpus, text, n, choice);
}

// Write a matrix of floats, m->outputs rows, in its layout; w[o * across + i * down].
void PUBLIC(pack)(Pool *pool, const Matrix *m, const float *w, long across, long down) {
    Packing job = {m, w, across, down};
    int panels = (m->outputs + PANEL - 1) / PANEL;
    pool_run(pool, pack_panel, &job, panels, 1);
}

// y[rows, outputs] = x . m for rows of x, for tests of one product; `x` has padded inputs.
int PUBLIC(multiply)(Pool *pool, const Matrix *m, const float *x, int rows, float *y) {
    Arena arena = {NULL, 0};
    carve_input(&arena, rows, m->inputs);
    arena = (Arena){pool_scratch(pool, arena.bytes), 0};
    if (!arena.at) return OUT_OF_MEMORY;
    Pass pass = {.pool = pool, .quantised = m->type == INT8 || m->type == INT4};
    Input input = carve_input(&arena, rows, m->inputs);
    memcpy(input.value, x, (size_t)rows * (size_t)input.stride * 4);
    for (int row = 0; row < rows; row++) quantise(&pass, input, row, 0, input.stride);
    run_product(&pass, m, input, rows, y, m->outputs, STORE);
    return 0;
}
