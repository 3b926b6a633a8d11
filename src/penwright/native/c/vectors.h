// Vectors of floats and of 32-bit integers, as wide as the instruction set allows, and the one
// operation that differs between instruction sets: the dot product of four bytes.
#pragma once

#include <math.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef float vf_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int8_t vb __attribute__((vector_size(LANES)));
typedef uint16_t vh_any __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { return *(const vf_any *)p; }
INLINE void store(float *p, vf x) { *(vf_any *)p = x; }
INLINE vi load_int(const void *p) { return *(const vi_any *)p; }
// (x + 0 would not be a mere broadcast: it makes +0 of -0.)
INLINE vf splat(float x) { return x - (vf){0}; }
INLINE void store_bytes(int8_t *p, vi x) {
    vb bytes = __builtin_convertvector(x, vb);
    memcpy(p, &bytes, LANES);
}
INLINE vi splat_int(int32_t x) { return (vi){0} + x; }
INLINE vf from_int(vi x) { return __builtin_convertvector(x, vf); }
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf largest(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf smallest(vf a, vf b) { return choose(a < b, a, b); }
INLINE vf magnitude(vf x) { return (vf)((vi)x & 0x7fffffff); }

typedef uint32_t vu __attribute__((vector_size(LANES * 4)));
typedef uint16_t vh __attribute__((vector_size(LANES * 2)));

// __builtin_convertvector between 16 and 32 bits, which GCC makes of many instructions.
INLINE vu widen(vh x) {
#if defined(__AVX512F__)
    return (vu)_mm512_cvtepu16_epi32((__m256i)x);
#elif defined(__AVX2__)
    return (vu)_mm256_cvtepu16_epi32((__m128i)x);
#else
    return __builtin_convertvector(x, vu);
#endif
}
INLINE vh lower_half(vu x) {
#if defined(__AVX512F__)
    return (vh)_mm512_cvtepi32_epi16((__m512i)x);
#else
    return __builtin_convertvector(x, vh);
#endif
}

INLINE vf load_bf16(const uint16_t *p) { return (vf)(widen(*(const vh_any *)p) << 16); }

INLINE uint16_t to_bf16(float x) {  // to nearest, ties to even
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE void store_bf16(uint16_t *p, vf x) {
    vu bits = (vu)x;
    *(vh_any *)p = lower_half((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE float from_bf16(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// The dot product of two pairs of bfloat16, added to each lane of `sum`. Only some processors with
// AVX-512 have the instruction.
#if defined(__AVX512F__) && (__GNUC__ >= 11 || defined(__clang__))
INLINE int has_dot_bf16(void) { return __builtin_cpu_supports("avx512bf16"); }
INLINE vf dot_bf16(vf sum, vi a, vi b) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
#else
INLINE int has_dot_bf16(void) { return 0; }
INLINE vf dot_bf16(vf sum, vi a, vi b) { return (void)a, (void)b, sum; }
#endif

#if defined(__AVX512F__)
INLINE float sum_of(vf x) { return _mm512_reduce_add_ps((__m512)x); }
INLINE int32_t sum_of_ints(vi x) { return _mm512_reduce_add_epi32((__m512i)x); }
INLINE float max_of(vf x) { return _mm512_reduce_max_ps((__m512)x); }
#else
INLINE float sum_of(vf x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}
INLINE int32_t sum_of_ints(vi x) {
    int32_t sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}
INLINE float max_of(vf x) {
    float best = x[0];
    for (int i = 1; i < LANES; i++) best = x[i] > best ? x[i] : best;
    return best;
}
#endif

// exp, with a relative error below 2e-7: 2^n times the Taylor polynomial on [-ln 2 / 2, ln 2 / 2].
INLINE vf exponential(vf x) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    x = smallest(largest(x, splat(-87.0f)), splat(88.0f));
    vf n = (x * 1.44269504f + magic) - magic;
    vf r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    vi power = (__builtin_convertvector(n, vi) + 127) << 23;
    return p * (vf)power;
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), written with one exponential.
INLINE vf gelu_tanh(vf x) {
    vf u = x * 1.5957691216f * (x * x * 0.044715f + 1.0f);
    return x / (exponential(-u) + 1.0f);
}

// The normal distribution function, 0.5 (1 + erf(x / sqrt 2)), given exp(-x^2 / 2); Abramowitz and
// Stegun, 7.1.26, error of erf below 1.5e-7.
INLINE vf normal_below(vf x, vf bell) {
    vf t = 1.0f / (magnitude(x) * 0.7071067812f * 0.3275911f + 1.0f);
    vf p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    vf tail = p * t * bell;  // 1 - erf(|x| / sqrt 2)
    return choose(x < 0.0f, tail, 2.0f - tail) * 0.5f;
}

INLINE vf gelu_erf(vf x) { return x * normal_below(x, exponential(x * x * -0.5f)); }

// The same, with the derivative.
INLINE vf gelu_tanh_derivative(vf x, vf *grad) {
    vf u = x * 1.5957691216f * (x * x * 0.044715f + 1.0f);
    vf s = 1.0f / (exponential(-u) + 1.0f);
    *grad = s * ((1.0f - s) * x * 1.5957691216f * (x * x * 0.134145f + 1.0f) + 1.0f);
    return x * s;
}

INLINE vf gelu_erf_derivative(vf x, vf *grad) {
    vf bell = exponential(x * x * -0.5f), phi = normal_below(x, bell);
    *grad = phi + x * bell * 0.3989422804f;
    return x * phi;
}

// The 16 values of int4 weights, the best for a group of normally distributed ones (by Lloyd's
// algorithm, with the scale of each group chosen for the smallest error), and value + 128.
static const int8_t INT4_VALUES[16] = {-127, -100, -78, -61, -47, -33, -21, -9,
                                       2,    13,   24,  36,  49,  64,  82,  105};
static const uint8_t INT4_SHIFTED[16] = {1,   28,  50,  67,  81,  95,  107, 119,
                                          130, 141, 152, 164, 177, 192, 210, 233};

// Four unsigned bytes of w times four signed bytes of x, added to each lane of `sum`. Bytes of
// int8 weights are value + 128. AVX2 has no such product without saturation for them, and
// multiplies |x| by the weight with the sign of x instead; then no 128 is left to be corrected.
#if defined(__AVX512VNNI__)
enum { OFFSET = 128 };
INLINE vi dot_int8(vi sum, vi w, int32_t x) {
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(x));
}
INLINE vi look_up(vi index) {
    __m128i table = _mm_loadu_si128((const __m128i *)INT4_SHIFTED);
    return (vi)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), (__m512i)index);
}
#elif defined(__AVX2__)
enum { OFFSET = 0 };
INLINE vi dot_int8(vi sum, vi w, int32_t x) {
    __m256i all = _mm256_set1_epi32(x);
    __m256i value = _mm256_xor_si256((__m256i)w, _mm256_set1_epi8(-128));
    __m256i signs = _mm256_sign_epi8(value, all);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(all), signs);
    return (vi)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
INLINE vi look_up(vi index) {
    __m128i table = _mm_loadu_si128((const __m128i *)INT4_SHIFTED);
    return (vi)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), (__m256i)index);
}
#else
enum { OFFSET = 128 };
INLINE vi dot_int8(vi sum, vi w, int32_t x) {
    sum += (w & 255) * (int32_t)(int8_t)x;
    sum += ((w >> 8) & 255) * (int32_t)(int8_t)(x >> 8);
    sum += ((w >> 16) & 255) * (int32_t)(int8_t)(x >> 16);
    return sum + ((w >> 24) & 255) * (int32_t)(int8_t)(x >> 24);
}
INLINE vi look_up(vi index) {
    uint8_t bytes[LANES * 4];
    memcpy(bytes, &index, sizeof bytes);
    for (int i = 0; i < LANES * 4; i++) bytes[i] = INT4_SHIFTED[bytes[i]];
    memcpy(&index, bytes, sizeof bytes);
    return index;
}
#endif
