// A key in a log is a key given away.
// expect: no match for .operator<<.|invalid operands to binary expression
#include <sstream>

#include "base/secret.h"

void Log(std::ostringstream& log, const holdfast::Key& key) {
#ifdef HF_MISUSE
  log << key;
#else
  log << key.size() << " bytes";
#endif
}
