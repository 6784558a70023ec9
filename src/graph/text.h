// The text form of a graph: what printer and parser share.
//
//   graph    = "graph" "@"name "(" [input {"," input}] ")" "{" {line} "}"
//   input    = value ":" type
//   line     = "assume" expr ("==" | "divides" | ">=") expr [string]
//            | value "=" "const" tensor
//            | value "=" "known" type
//            | value {"," value} "=" op [operand {"," operand}] {"," key "=" attribute}
//              [":" type {"," type}] [string] [graph]
//            | "return" [operand {"," operand}]
//   value    = "%"name | "%"number
//   operand  = value | "_" | scalar
//   scalar   = integer (i64) | float (f32) | "true" | "false" | precision "(" number ")"
//   type     = precision "[" [expr {"," expr}] "]" ["{" [expr {"," expr}] "}"]
//   tensor   = precision "[" [integer {"," integer}] "]" contents
//   contents = "{" [number {"," number}] "}" | "splat<" number ">" | "dense<" hash ">"
//   attribute = integer | float | string | "[" [integer {"," integer}] "]" | tensor
//   name     = identifier | string
//
// "//" starts a comment. A line ends where its last part does, not at the end of the line.
//
// - A value's number says nothing: values without a name are numbered as they are defined.
// - The string behind a node is its name; without one it has the name of its first output.
// - "{...}" behind a type are the known elements of a small integer tensor. A value that is
//   "known" has them and no producer: what is left of shape arithmetic.
// - A type that is left out is inferred. One that is given must not contradict what is inferred.
// - Constants of one element and rank 0 stand where they are used; their names are lost. So is the
//   name of a second value of the same name. Everything else survives print and parse.
// - dense<hash> stands for large contents that the text does not hold: it cannot be parsed.

#pragma once

#include <string_view>

#include "support/expr_node.h"

namespace burin::text {

/// Longer contents are printed as splat or dense.
inline constexpr std::int64_t kMaxWrittenElements = 64;
/// From this length on, equal elements are printed as splat.
inline constexpr std::int64_t kMinSplatElements = 9;

/// Whether a name can be written without quotes.
inline bool is_identifier(std::string_view name) {
  if (name.empty() || !starts_identifier(name[0])) return false;
  for (const char c : name)
    if (!continues_identifier(c)) return false;
  return true;
}

}  // namespace burin::text
