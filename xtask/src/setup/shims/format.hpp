// Included before every source of mlx-c, for C++ libraries without std::format
// (GCC's before 13). mlx-c uses it for messages with plain {} fields only, and
// that is all that this does.
#pragma once
#include <version>
#ifndef __cpp_lib_format
#include <sstream>
#include <string>
#include <string_view>

namespace mlxengine {
inline void next_field(std::ostringstream& out, std::string_view& pattern) {
  const auto field = pattern.find("{}");
  out << pattern.substr(0, field);
  pattern.remove_prefix(
      field == std::string_view::npos ? pattern.size() : field + 2);
}
} // namespace mlxengine

namespace std {
template <class... Values>
string format(string_view pattern, const Values&... values) {
  ostringstream out;
  ((mlxengine::next_field(out, pattern), out << values), ...);
  out << pattern;
  return out.str();
}
} // namespace std
#endif
