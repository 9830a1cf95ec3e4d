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

comma := ,

# Files of CPython that the guest has with one change, made by sed on a copy. A change that no longer fits is an error.
# $(call changed,<path without .c>,<sed script>,<variable with the flags>)
define changed
$(1).changed.c: $(srcdir)/$(1).c
	sed $(2) $(srcdir)/$(1).c > $$@
	! cmp -s $(srcdir)/$(1).c $$@
$(1).o: $(1).changed.c
	$$(CC) -c $$($(strip $(3))) -I$(srcdir)/$(dir $(1)) -o $$@ $(1).changed.c
endef

# The parser's own limit of depth. That of other platforms lets it reach the 200 brackets that the tokenizer allows.
$(eval $(call changed,Parser/parser,'s/define MAXSTACK 4000/define MAXSTACK 6000/',PY_CORE_CFLAGS))

# The guest's sys.maxsize is that of a 64-bit CPython (wasm/python/_udf_importer.py). Where the interpreter takes a size,
# it means the largest there is.
$(eval $(call changed,Objects/longobject,\
  '/^PyLong_AsSsize_t/$(comma)/^}/ s/^  overflow:/&\
  if (PyLong_AsLongLong(vv) == LLONG_MAX) return PY_SSIZE_T_MAX; PyErr_Clear();/',PY_CORE_CFLAGS))

# An islice may stop or step beyond the largest size, which no count reaches.
$(eval $(call changed,Modules/itertoolsmodule,\
  -e '/^islice_new/$(comma)/^}/ s/PyNumber_AsSsize_t(\(a[123]\)$(comma) PyExc_OverflowError)/PyNumber_AsSsize_t(\1$(comma) NULL)/' \
  -e '/^itertools_count_impl/$(comma)/^}/ s/PyLong_AsSsize_t/PyLong_AsLong/',\
  PY_BUILTIN_MODULE_CFLAGS))

# What counts from there, or is that long, is no size: `count` and `enumerate` go on with integers, `len` is an error.
$(eval $(call changed,Objects/enumobject,\
  '/^enum_new_impl/$(comma)/^}/ s/PyLong_AsSsize_t/PyLong_AsLong/',PY_CORE_CFLAGS))
$(eval $(call changed,Objects/rangeobject,\
  '/^range_length/$(comma)/^}/ s/PyLong_AsSsize_t/PyLong_AsLong/',PY_CORE_CFLAGS))
$(eval $(call changed,Objects/typeobject,\
  '/^slot_sq_length/$(comma)/^}/ s/PyNumber_AsSsize_t(res$(comma) PyExc_OverflowError)/PyLong_AsLong(res)/',PY_CORE_CFLAGS))
$(eval $(call changed,Modules/_struct,\
  '/^get_ssize_t/$(comma)/^}/ s/PyLong_AsSsize_t/PyLong_AsLong/',PY_BUILTIN_MODULE_CFLAGS))
