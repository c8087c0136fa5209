// json-c, the JSON engine. Imported by JSONText only.
#include <json-c/json.h>
