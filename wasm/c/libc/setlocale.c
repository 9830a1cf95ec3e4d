/* setlocale() for Python's locale module, which is compiled to call it by this name: see wasm/guest.mk.
 *
 * musl's takes any name and changes nothing. This one knows what glibc knows without any locale's files: C, its other
 * name POSIX, and C.UTF-8. A program that asks for another one learns that it isn't there.
 */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *udf_setlocale(int category, const char *name);

#define NAME_BYTES 12 /* "C.UTF-8" and the like */

/* In the order of the numbers of categories, which is the order in which they are written. */
static const char *const categories[LC_ALL] = {"LC_CTYPE",   "LC_NUMERIC",  "LC_TIME",
                                               "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES"};

/* As CPython's start leaves it: of the environment's locale it takes only the characters. */
static char current[LC_ALL][NAME_BYTES] = {"C.UTF-8", "C", "C", "C", "C", "C"};

/* The locale that the environment names, which is empty unless the function has set something. */
static const char *from_environment(int category) {
  const char *const variables[] = {"LC_ALL", categories[category], "LANG"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *value = getenv(variables[i]);
    if (value != NULL && *value) return value;
  }
  return "C.UTF-8";
}

/* Write the name under which a locale is known. Returns false if there is none such. */
static bool find(const char *name, char found[NAME_BYTES]) {
  bool known = strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
  if (known) name = "C"; /* as glibc names both */
  known = known ||
          (strncmp(name, "C.", 2) == 0 && (strcasecmp(name + 2, "UTF-8") == 0 || strcasecmp(name + 2, "UTF8") == 0));
  if (known) strcpy(found, name);
  return known;
}

/* Find the locales that `LC_CTYPE=C;LC_NUMERIC=C;...` names, the text that this function returned before. */
static bool find_each(const char *names, char found[LC_ALL][NAME_BYTES]) {
  for (int i = 0; i < LC_ALL; i++) {
    size_t length = strlen(categories[i]), end;
    char name[NAME_BYTES] = "";
    if (strncmp(names, categories[i], length) != 0 || names[length] != '=') return false;
    names += length + 1;
    end = strcspn(names, ";");
    if (end >= NAME_BYTES) return false;
    memcpy(name, names, end);
    if (!find(name, found[i])) return false;
    names += end;
    if (i + 1 < LC_ALL && *names++ != ';') return false;
  }
  return *names == 0;
}

/* Find the locales that a name means for the categories from `first` to before `end`. */
static bool find_all(int first, int end, const char *name, char found[LC_ALL][NAME_BYTES]) {
  if (end - first > 1 && strchr(name, ';') != NULL) return find_each(name, found);
  for (int i = first; i < end; i++) {
    if (!find(*name ? name : from_environment(i), found[i])) return false;
  }
  return true;
}

static char *describe_all(void) {
  static char text[LC_ALL * (sizeof "LC_MONETARY=;" + NAME_BYTES)];
  size_t length = 0;
  bool same = true;
  for (int i = 0; i < LC_ALL; i++) {
    same = same && strcmp(current[i], current[0]) == 0;
    const char *before = i == 0 ? "" : ";";
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%s=%s", before, categories[i], current[i]);
  }
  return same ? current[0] : text;
}

/* Set the locale of a category, or of all; with no name, ask for it. Returns its name, or NULL if it isn't there. */
char *udf_setlocale(int category, const char *name) {
  if (category < 0 || category > LC_ALL) return NULL;
  int first = category == LC_ALL ? 0 : category, end = category == LC_ALL ? LC_ALL : category + 1;
  if (name != NULL) {
    char found[LC_ALL][NAME_BYTES];
    if (!find_all(first, end, name, found)) return NULL;
    memcpy(current[first], found[first], (size_t)(end - first) * NAME_BYTES);
    setlocale(LC_CTYPE, strcmp(current[LC_CTYPE], "C") == 0 ? "C" : "C.UTF-8"); /* nl_langinfo(CODESET) asks musl */
  }
  return category == LC_ALL ? describe_all() : current[category];
}
