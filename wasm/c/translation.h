/* The exports that make compiled code of the bound function. */
#ifndef UDF_TRANSLATION_H
#define UDF_TRANSLATION_H

/* Look up the function of the module _udf_compiler that translates. Returns 0, or -1 with an exception. */
int translation_prepare(void);

#endif
