/* numpy's extension modules, which are linked in. */
#ifndef UDF_EXTENSION_MODULES_H
#define UDF_EXTENSION_MODULES_H

/* Make them importable. To be called before the interpreter starts. Returns 0, or -1 when memory is exhausted. */
int extension_modules_add(void);

#endif
