// GLPK, the mixed-integer solver. To be imported by IntegerProgramming only.
#include <glpk.h>
