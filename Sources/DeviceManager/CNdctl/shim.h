#include <ndctl/libndctl.h>
#include <ndctl/ndctl.h>
