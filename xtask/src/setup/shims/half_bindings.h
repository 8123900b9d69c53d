/* Stands in for mlx-c's half.h while the Rust bindings are made, on every
   machine: mlx-rs expects a half type of its own for float16 and a plain
   16-bit number for bfloat16, and the compiler's Arm headers are not readable
   by another compiler's libclang. */
#define MLX_HALF_H
#include <stdint.h>
#define HAS_FLOAT16
#define HAS_BFLOAT16
typedef _Float16 float16_t;
typedef uint16_t bfloat16_t;
