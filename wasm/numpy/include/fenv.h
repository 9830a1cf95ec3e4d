/* software floating point status word for wasm32 (no hardware flags) */
#ifndef NP_SHADOW_FENV_H
#define NP_SHADOW_FENV_H
#define FE_INVALID 1
#define FE_DIVBYZERO 4
#define FE_OVERFLOW 8
#define FE_UNDERFLOW 16
#define FE_INEXACT 32
#define FE_ALL_EXCEPT 61
#define FE_TONEAREST 0
#ifdef __cplusplus
extern "C" {
#endif
typedef unsigned long fexcept_t;
typedef struct { unsigned long cw; } fenv_t;
#define FE_DFL_ENV ((const fenv_t *) -1)
extern int udf_floating_point_status;
static inline int feclearexcept(int m){ udf_floating_point_status&=~m; return 0; }
static inline int feraiseexcept(int m){ udf_floating_point_status|=m; return 0; }
static inline int fetestexcept(int m){ return udf_floating_point_status&m; }
static inline int fegetround(void){ return 0; }
static inline int fesetround(int r){ return r!=0; }
static inline int fegetenv(fenv_t *e){ e->cw=udf_floating_point_status; return 0; }
static inline int fesetenv(const fenv_t *e){ udf_floating_point_status= e==FE_DFL_ENV?0:(int)e->cw; return 0; }
static inline int feholdexcept(fenv_t *e){ fegetenv(e); udf_floating_point_status=0; return 0; }
static inline int feupdateenv(const fenv_t *e){ int f=udf_floating_point_status; fesetenv(e); udf_floating_point_status|=f; return 0; }
static inline int fegetexceptflag(fexcept_t *p,int m){ *p=udf_floating_point_status&m; return 0; }
static inline int fesetexceptflag(const fexcept_t *p,int m){ udf_floating_point_status=(udf_floating_point_status&~m)|(*p&m); return 0; }
#ifdef __cplusplus
}
#endif
#endif
