// A pool of threads that share the items of a job, and the choice of an instruction set.
//
// The caller works too, and a job ends when its items are done, not when all threads have looked at
// it: a thread that the system has put aside delays nobody unless it holds an item. Threads that
// have nothing to do spin for some microseconds, since the next job usually follows at once, and
// then sleep.
#define _GNU_SOURCE
#include "penwright.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define relax() _mm_pause()
#else
#define relax() atomic_signal_fence(memory_order_seq_cst)
#endif

enum { LINE = 64, SPINS = 500, TURN = 100000 };  // bytes, turns of a loop, nanoseconds

struct Pool {
    // The number of the job in the upper half, the items not taken yet in the lower. Only a thread
    // that read the job whole can take an item, since the number changes before the job does.
    _Alignas(LINE) _Atomic uint64_t left;
    _Alignas(LINE) _Atomic int undone;
    _Alignas(LINE) _Atomic(Work) work;
    _Atomic(void *) job;
    _Atomic int items, take;
    _Alignas(LINE) _Atomic int sleepers;
    _Atomic int waiting, closing;
    int threads;
    void *scratch;
    size_t scratch_bytes;
    pthread_t handles[MAX_THREADS];
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
};

typedef struct {
    Pool *pool;
    int thread;
} Worker;

// Ask the system for short turns of this thread. Its share of the processor stays the same, but on
// a busy machine it comes back sooner, and the other threads wait for its item that much less.
// Linux from 6.12 on reads the request; earlier ones ignore it.
static void ask_short_turns(void) {
#if defined(__linux__) && defined(SYS_sched_setattr)
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } turns = {.size = 48};
    if (syscall(SYS_sched_getattr, 0, &turns, sizeof turns, 0) || turns.policy) return;
    turns.runtime = TURN;
    syscall(SYS_sched_setattr, 0, &turns, 0);
#endif
}

static void take_items(Pool *pool, uint64_t left, int thread) {
    while ((uint32_t)left) {
        Work work = atomic_load_explicit(&pool->work, memory_order_relaxed);
        void *job = atomic_load_explicit(&pool->job, memory_order_relaxed);
        int items = atomic_load_explicit(&pool->items, memory_order_relaxed);
        int take = atomic_load_explicit(&pool->take, memory_order_relaxed);
        int before = (int)(uint32_t)left, taken = before / (2 * pool->threads);
        if (taken < take) taken = before < take ? before : take;
        if (!atomic_compare_exchange_weak(&pool->left, &left, left - (uint64_t)taken)) continue;
        for (int i = 0; i < taken; i++) work(job, items - before + i, thread);
        if (atomic_fetch_sub(&pool->undone, taken) == taken && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->ended);
            pthread_mutex_unlock(&pool->mutex);
        }
        left = atomic_load(&pool->left);
    }
}

static void *serve(void *argument) {
    Worker worker = *(Worker *)argument;
    free(argument);
    Pool *pool = worker.pool;
    ask_short_turns();
    for (;;) {
        uint64_t left = 0;
        for (int spin = 0; spin < SPINS && !(uint32_t)left; spin++) {
            left = atomic_load_explicit(&pool->left, memory_order_acquire);
            if (!(uint32_t)left) relax();
        }
        if (!(uint32_t)left) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleepers, 1);
            while (!(uint32_t)(left = atomic_load(&pool->left)) && !atomic_load(&pool->closing))
                pthread_cond_wait(&pool->begun, &pool->mutex);
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->mutex);
        }
        if (atomic_load(&pool->closing)) return NULL;
        take_items(pool, left, worker.thread);
    }
}

Pool *pw_pool(int threads) {
    Pool *pool = aligned_alloc(LINE, (sizeof *pool + LINE - 1) / LINE * LINE);
    if (!pool) return NULL;
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->begun, NULL);
    pthread_cond_init(&pool->ended, NULL);
    pool->threads = 1;
    if (threads > 1) ask_short_turns();  // the caller takes items too
    for (int thread = 1; thread < threads && thread < MAX_THREADS; thread++) {
        Worker *worker = malloc(sizeof *worker);
        if (!worker) break;
        *worker = (Worker){pool, thread};
        if (pthread_create(&pool->handles[thread], NULL, serve, worker)) {
            free(worker);
            break;  // the system allows no more threads: fewer do the work
        }
        pool->threads++;
    }
    return pool;
}

static void ask_too(void *unused) {
    (void)unused;
    ask_short_turns();
}

// Let OpenMP's threads, which torch's operators run on, take short turns too.
void pw_short_turns(int threads, Parallel parallel) {
    if (threads > 1) parallel(ask_too, NULL, (unsigned)threads, 0);
}

void pw_pool_free(Pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->closing, 1);
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->mutex);
    for (int thread = 1; thread < pool->threads; thread++) pthread_join(pool->handles[thread], NULL);
    pthread_cond_destroy(&pool->begun);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->scratch);
    free(pool);
}

int pool_threads(const Pool *pool) { return pool->threads; }

void *pool_scratch(Pool *pool, size_t bytes) {
    if (bytes > pool->scratch_bytes) {
        free(pool->scratch);
        pool->scratch_bytes = (bytes + LINE - 1) / LINE * LINE;
        pool->scratch = aligned_alloc(LINE, pool->scratch_bytes);
        if (!pool->scratch) pool->scratch_bytes = 0;
    }
    return pool->scratch;
}

void pool_run(Pool *pool, Work work, void *job, int items, int take) {
    if (pool->threads == 1 || items <= take) {
        for (int item = 0; item < items; item++) work(job, item, 0);
        return;
    }
    uint64_t number = (atomic_load(&pool->left) >> 32) + 1;
    atomic_store(&pool->left, number << 32);  // from here on nobody takes items of an earlier job
    atomic_store_explicit(&pool->work, work, memory_order_relaxed);
    atomic_store_explicit(&pool->job, job, memory_order_relaxed);
    atomic_store_explicit(&pool->items, items, memory_order_relaxed);
    atomic_store_explicit(&pool->take, take, memory_order_relaxed);
    atomic_store(&pool->undone, items);
    uint64_t left = number << 32 | (uint32_t)items;
    atomic_store(&pool->left, left);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->mutex);
    }
    take_items(pool, left, 0);
    for (int spin = 0; spin < SPINS; spin++) {
        if (!atomic_load_explicit(&pool->undone, memory_order_acquire)) return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->undone)) pthread_cond_wait(&pool->ended, &pool->mutex);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->mutex);
}

// Return whether this processor runs a variant: 0 generic, 1 AVX2 with FMA, 2 AVX-512 with VNNI.
int pw_supports(int variant) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (variant == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (variant == 2)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return variant == 0;
}
