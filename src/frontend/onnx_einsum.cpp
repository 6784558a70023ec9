#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/operators.h"
#include "graph/positions.h"
#include "graph/shape_math.h"

namespace burin::frontend {
namespace {

/// A tensor whose dimensions are called by letters.
struct Labelled {
  ValueId value = kNone;
  std::string labels;

  bool has(char label) const { return labels.find(label) != std::string::npos; }
};

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

constexpr std::string_view kEllipsis = "...";
/// Labels of the dimensions that an ellipsis stands for.
constexpr std::string_view kNameless = "0123456789";

bool is_nameless(char c) { return kNameless.find(c) != std::string_view::npos; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Letters and at most one ellipsis, as the model has them.
void check_labels(std::string labels) {
  const std::size_t place = labels.find(kEllipsis);
  if (place != std::string::npos) labels.erase(place, kEllipsis.size());
  if (!std::all_of(labels.begin(), labels.end(), is_letter))
    throw Error("only letters are supported");
}

/// The parts of `of` that hold for the predicate, in their order.
template <typename Predicate>
std::string choose(const std::string& of, const Predicate& predicate) {
  std::string result;
  std::copy_if(of.begin(), of.end(), std::back_inserter(result), predicate);
  return result;
}

/// An ellipsis stands for as many dimensions as the operand has more than letters.
std::string without_ellipsis(const std::string& labels, std::size_t rank) {
  const std::size_t place = labels.find(kEllipsis);
  if (place == std::string::npos) return labels;
  const std::size_t letters = labels.size() - kEllipsis.size();
  if (rank < letters || rank - letters > kNameless.size())
    throw Error(fmt::format("'{}' does not fit {} dimensions", labels, rank));
  std::string result = labels;
  return result.replace(place, kEllipsis.size(),
                        kNameless.substr(kNameless.size() - (rank - letters)));
}

Equation parse_equation(std::string text, const std::vector<std::size_t>& ranks) {
  std::erase(text, ' ');
  const std::size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  Equation equation;
  for (std::size_t begin = 0; begin <= left.size();) {
    const std::size_t end = std::min(left.find(',', begin), left.size());
    equation.operands.push_back(left.substr(begin, end - begin));
    begin = end + 1;
  }
  if (equation.operands.size() != ranks.size() || ranks.size() > 2)
    throw Error("one or two operands are supported, and the equation must have as many");
  std::string nameless;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    std::string& labels = equation.operands[i];
    check_labels(labels);
    labels = without_ellipsis(labels, ranks[i]);
    const std::string own = choose(labels, is_nameless);
    if (own.size() > nameless.size()) nameless = own;
  }
  if (arrow != std::string::npos) {
    equation.result = text.substr(arrow + 2);
    check_labels(equation.result);
    const std::size_t place = equation.result.find(kEllipsis);
    if (place != std::string::npos) equation.result.replace(place, kEllipsis.size(), nameless);
  } else {  // what the ellipses stand for, and the labels that occur once, in alphabetical order
    equation.result = nameless;
    std::string sorted = left;
    std::sort(sorted.begin(), sorted.end());
    for (const char c : sorted) {
      if (is_letter(c) && std::count(left.begin(), left.end(), c) == 1) equation.result += c;
    }
  }
  return equation;
}

class Einsum {
 public:
  Einsum(NodeImporter& n, Equation equation) : n_(n), result_(std::move(equation.result)) {
    for (const char c : result_) {
      if (std::count(result_.begin(), result_.end(), c) != 1)
        throw Error(fmt::format("'{}' occurs twice in the result", c));
    }
    for (std::size_t i = 0; i < n.input_count(); ++i) {
      operands_.push_back({n.input(i), equation.operands[i]});
      if (n.rank(operands_[i].value) != static_cast<std::int64_t>(operands_[i].labels.size())) {
        throw Error(fmt::format("operand {} has another number of dimensions", i));
      }
      take_diagonals(operands_[i]);
    }
    for (const char c : result_) {
      if (!operands_.front().has(c) && !operands_.back().has(c)) {
        throw Error(fmt::format("'{}' is in no operand", c));
      }
    }
  }

  ValueId run() {
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const Labelled& other = operands_[operands_.size() - 1 - i];
      reduce(operands_[i], [&](char c) {
        return result_.find(c) != std::string::npos || (operands_.size() == 2 && other.has(c));
      });
    }
    Labelled result = operands_.size() == 1 ? operands_[0] : multiply(operands_[0], operands_[1]);
    transpose(result, result_);
    return result.value;
  }

 private:
  /// A label that occurs twice in one tensor: what is not on the diagonal becomes 0, and is summed.
  void take_diagonals(Labelled& x) {
    for (std::size_t first = 0; first < x.labels.size(); ++first) {
      const std::size_t again = x.labels.find(x.labels[first], first + 1);
      if (again == std::string::npos) continue;
      n_.assume_dim(x.value, again, n_.dim(x.value, first));
      const Shape& shape = n_.value(x.value).shape;
      const Expr row_count = shape[first], column_count = shape[again];
      const std::size_t rank = shape.size();
      const ValueId rows = add_positions(n_.graph(), row_count, first, rank);
      const ValueId columns = add_positions(n_.graph(), column_count, again, rank);
      const ValueId is_diagonal = n_.apply(OpKind::Equal, {rows, columns});
      const ValueId diagonal =
          n_.apply(OpKind::Where, {is_diagonal, x.value, n_.scalar("zero", 0, x.value)});
      const std::vector<std::int64_t> axes = {static_cast<std::int64_t>(again)};
      x.value =
          n_.apply(OpKind::ReduceSum, {diagonal}, {{"axes", axes}, {"keepdims", std::int64_t{0}}});
      x.labels.erase(again, 1);
      --first;  // it may occur once more
    }
  }

  /// Sums over the labels that are not kept.
  template <typename Predicate>
  void reduce(Labelled& x, const Predicate& keep) {
    std::vector<std::int64_t> axes;
    for (std::size_t d = 0; d < x.labels.size(); ++d) {
      if (!keep(x.labels[d])) axes.push_back(static_cast<std::int64_t>(d));
    }
    if (axes.empty()) return;
    x.value = n_.emit(OpKind::ReduceSum, "sum", {x.value},
                      {{"axes", axes}, {"keepdims", std::int64_t{0}}});
    x.labels = choose(x.labels, keep);
  }

  void transpose(Labelled& x, const std::string& order) {
    if (x.labels == order) return;
    std::vector<std::int64_t> perm;
    for (const char c : order) perm.push_back(static_cast<std::int64_t>(x.labels.find(c)));
    x.value = n_.emit(OpKind::Transpose, "transpose", {x.value}, {{"perm", perm}});
    x.labels = order;
  }

  /// The dimensions of `labels` in x.
  Shape dims(const Labelled& x, const std::string& labels) const {
    Shape result;
    for (const char c : labels) result.push_back(n_.value(x.value).shape[x.labels.find(c)]);
    return result;
  }

  ValueId reshape(ValueId x, const Shape& shape) {
    if (n_.value(x).shape == shape) return x;
    return n_.emit(OpKind::Reshape, "reshape", {x, n_.integers("shape", shape)});
  }

  /// x as a batch of matrices: its dimensions of `batch`, `rows` (merged), `columns` (merged).
  ValueId matrices(Labelled x, const std::string& batch, const std::string& rows,
                   const std::string& columns) {
    transpose(x, batch + rows + columns);
    Shape shape = dims(x, batch);
    shape.push_back(product(dims(x, rows)));
    shape.push_back(product(dims(x, columns)));
    return reshape(x.value, shape);
  }

  Labelled multiply(const Labelled& a, const Labelled& b) {
    const auto in_result = [&](char c) { return result_.find(c) != std::string::npos; };
    const std::string batch = choose(a.labels, [&](char c) { return b.has(c) && in_result(c); });
    const std::string inner = choose(a.labels, [&](char c) { return b.has(c) && !in_result(c); });
    const std::string rows = choose(a.labels, [&](char c) { return !b.has(c); });
    const std::string columns = choose(b.labels, [&](char c) { return !a.has(c); });
    const ValueId product_value =
        n_.emit(OpKind::MatMul, "matmul",
                {matrices(a, batch, rows, inner), matrices(b, batch, inner, columns)});
    Shape shape = n_.value(product_value).shape;
    shape.resize(batch.size());
    for (const Expr& dim : dims(a, rows)) shape.push_back(dim);
    for (const Expr& dim : dims(b, columns)) shape.push_back(dim);
    return {reshape(product_value, shape), batch + rows + columns};
  }

  NodeImporter& n_;
  std::string result_;
  std::vector<Labelled> operands_;
};

}  // namespace

void convert_einsum(NodeImporter& n) {
  const std::string equation = n.string_attribute("equation", "");
  try {
    std::vector<std::size_t> ranks;
    for (const ValueId x : n.inputs()) ranks.push_back(static_cast<std::size_t>(n.rank(x)));
    const ValueId result = Einsum(n, parse_equation(equation, ranks)).run();
    n.finish(OpKind::Identity, {result});
  } catch (const Error& e) {
    throw Error(fmt::format("equation '{}': {}", equation, e.what()));
  }
}

}  // namespace burin::frontend
