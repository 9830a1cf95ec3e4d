# What the guest needs of CPython, made with the Makefile that configure wrote. LTO is the flag of wasm/config.toml.
include Makefile

# Link-time optimisation takes one core, so what gains nothing from it is optimised as it is compiled, on all cores: the
# parser, the file system's calls, which the guest has no use for, and tables of characters. Measured with
# `python -m benchmarks`: 60 s less to link. Leaving out all extension modules made regular expressions 5 % slower.
PY_CORE_CFLAGS += $(LTO)
PY_BUILTIN_MODULE_CFLAGS += $(LTO)
LIBMPDEC_CFLAGS += $(LTO)
$(PARSER_OBJS): PY_CORE_CFLAGS += -fno-lto
Modules/cjkcodecs/%.o Modules/posixmodule.o Modules/pyexpat.o Modules/_elementtree.o Modules/unicodedata.o: \
  PY_BUILTIN_MODULE_CFLAGS += -fno-lto

# Functions of the C library that wasm/c/libc/ stands before.
Modules/mathmodule.o: PY_BUILTIN_MODULE_CFLAGS += -Dacosh=udf_acosh -Dfma=udf_fma
Modules/_localemodule.o: PY_BUILTIN_MODULE_CFLAGS += -Dsetlocale=udf_setlocale
Objects/complexobject.o: PY_CORE_CFLAGS += -Dsin=udf_sin -Dcos=udf_cos

# Not in the library: the frozen modules and the search for files, in whose place wasm/c/start.c stands.
# The list has libraries of CPython's own too, which are linked beside it.
libguest.a: $(LIBRARY_OBJS_OMIT_FROZEN)
	rm -f $@
	$(AR) rcs $@ $(filter %.o,$^)
