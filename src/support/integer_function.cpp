#include "support/integer_function.h"

#include <algorithm>
#include <string>

#include "burin/error.h"
#include "support/checked.h"
#include "support/expr_node.h"

namespace burin::integer {

namespace {

[[noreturn]] void fail(Expr::Function function, std::int64_t a, std::int64_t b,
                       std::string_view reason) {
  throw ArithmeticError(std::string(kSubject) + ": " + std::string(name_of(function)) + "(" +
              std::to_string(a) + ", " + std::to_string(b) + "): " + std::string(reason));
}

}  // namespace

void fail_division_by_zero(Expr::Function function, std::int64_t a) {
  fail(function, a, 0, "division by zero");
}

void fail_division_overflow(std::int64_t a, std::int64_t b) {
  fail(Expr::Function::floor_div, a, b, "the quotient overflows 64 bits");
}

void fail_broadcast(std::int64_t a, std::int64_t b) {
  fail(Expr::Function::broadcast, a, b, "the dimensions are neither equal nor is one of them 1");
}

std::int64_t apply(Expr::Function function, const std::int64_t* arguments) {
  const std::int64_t a = arguments[0];
  const std::int64_t b = arguments[1];
  switch (function) {
    case Expr::Function::floor_div: return floor_div(a, b);
    case Expr::Function::mod: return mod(a, b);
    case Expr::Function::min: return std::min(a, b);
    case Expr::Function::max: return std::max(a, b);
    case Expr::Function::less: return a < b;
    case Expr::Function::less_equal: return a <= b;
    case Expr::Function::equal: return a == b;
    case Expr::Function::select: return a != 0 ? b : arguments[2];
    case Expr::Function::broadcast: return broadcast(a, b);
  }
  throw Error("integer expression: unknown function");
}

}  // namespace burin::integer
