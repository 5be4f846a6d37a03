#include <linux/ndctl.h>
#include <ndctl/libndctl.h>
