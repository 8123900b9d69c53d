/* Included before every mlx-c header. On Arm, mlx-c declares its accessors for
   half-precision numbers by itself; elsewhere it leaves them out, although they
   only pass pointers to 16-bit numbers on. Here the two types have the right
   size, which is all that the accessors need. */
#ifndef MLXENGINE_HALF_H
#define MLXENGINE_HALF_H

#if !defined(__aarch64__) && !defined(__ARM_FEATURE_FP16_SCALAR_ARITHMETIC)
#include <stdint.h>
#define HAS_FLOAT16
#define HAS_BFLOAT16
typedef uint16_t float16_t;
typedef uint16_t bfloat16_t;
#endif

#endif
