// The parser: recursive descent over the characters. The text may be anything; what is wrong with
// it is an error with line and column.

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "burin/error.h"
#include "burin/graph.h"
#include "graph/text.h"
#include "graph/text_scanner.h"

namespace burin {
namespace {

using text::Scanner;

/// Graphs inside of graphs.
constexpr int kMaxDepth = 16;
/// A splat of a few characters must not take all memory.
constexpr std::int64_t kMaxSplatElements = std::int64_t{1} << 26;

/// What stands behind a '%'.
struct Spelling {
  std::string text;
  bool is_number = false;
  std::string name() const { return is_number ? "" : text; }
  auto operator<=>(const Spelling&) const = default;
};

struct Type {
  Precision precision{};
  Shape shape;
  std::optional<std::vector<Expr>> elements;
};

class Parser {
 public:
  Parser(Scanner& scanner, int depth) : scan_(scanner), depth_(depth) {}

  Graph parse() {
    if (depth_ > kMaxDepth) scan_.fail("graphs are nested too deep");
    if (!scan_.accept_word("graph")) scan_.fail("expected 'graph'");
    scan_.expect("@");
    graph_.name = scan_.name();
    inputs();
    scan_.expect("{");
    while (scan_.peek() != '}') line();
    scan_.expect("}");
    return std::move(graph_);
  }

 private:
  void inputs() {
    scan_.expect("(");
    if (scan_.accept(")")) return;
    do {
      const std::size_t start = scan_.position();
      const Spelling spelling = value();
      scan_.expect(":");
      Type given = type();
      const ValueId id = scan_.located(
          start, [&] { return graph_.add_input(spelling.name(), given.precision, given.shape); });
      graph_.value(id).elements = std::move(given.elements);
      define(spelling, id, start);
    } while (scan_.accept(","));
    scan_.expect(")");
  }

  void line() {
    if (has_returned_) scan_.fail("nothing may follow 'return'");
    if (scan_.accept_word("return")) {
      has_returned_ = true;
      if (scan_.peek() != '}') graph_.outputs = operands();
    } else if (scan_.accept_word("assume")) {
      assume();
    } else {
      definition();
    }
  }

  void assume() {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    std::optional<Expr> left;
    Facts::Check::Relation relation{};
    if ((left = scan_.expression_before(" == "))) {
      relation = Facts::Check::Relation::equal;
    } else if ((left = scan_.expression_before(" >= "))) {
      relation = Facts::Check::Relation::at_least;
    } else if ((left = scan_.expression_before(" divides "))) {
      relation = Facts::Check::Relation::divides;
    } else {
      scan_.fail("expected '==', '>=' or 'divides'");
    }
    const Expr right = scan_.expression("\"}");
    const std::string subject = scan_.peek() == '"' ? scan_.string() : "";
    scan_.located(start, [&] {
      switch (relation) {
        case Facts::Check::Relation::equal: graph_.facts.assume_equal(*left, right, subject); break;
        case Facts::Check::Relation::divides:
          graph_.facts.assume_divides(*left, right, subject);
          break;
        case Facts::Check::Relation::at_least: {
          const auto bound = right.as_constant();
          if (!bound) throw Error("the bound must be an integer");
          graph_.facts.assume_at_least(*left, *bound, subject);
          break;
        }
      }
    });
  }

  void definition() {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    std::vector<Spelling> names;
    do {
      names.push_back(value());
    } while (scan_.accept(","));
    scan_.expect("=");
    scan_.skip_blanks();
    const std::size_t op_start = scan_.position();
    const std::string word(scan_.word());
    if (word == "const") {
      if (names.size() != 1) scan_.fail("a constant has one value");
      Tensor contents = tensor();
      const ValueId id = scan_.located(
          op_start, [&] { return graph_.add_constant(names[0].name(), std::move(contents)); });
      define(names[0], id, start);
      return;
    }
    if (word == "known") {
      if (names.size() != 1) scan_.fail("'known' gives one value");
      known(names[0], start);
      return;
    }
    const auto op = op_from_text(word);
    if (!op) {
      scan_.go_to(op_start);
      scan_.fail("'{}' is not an operation", word);
    }
    node(*op, names, start);
  }

  /// Integers without producer.
  void known(const Spelling& name, std::size_t start) {
    Type given = type();
    if (!given.elements) scan_.fail("the elements of what is known are missing");
    Value value;
    value.name = name.name();
    value.precision = given.precision;
    value.shape = std::move(given.shape);
    value.elements = std::move(given.elements);
    define(name, graph_.add_value(std::move(value)), start);
  }

  void node(OpKind op, const std::vector<Spelling>& names, std::size_t start) {
    std::vector<ValueId> inputs;
    Attributes attributes;
    if (begins_operand()) {
      do {
        if (is_attribute())
          attribute(attributes);
        else if (attributes.empty())
          inputs.push_back(operand());
        else
          scan_.fail("operands come before attributes");
      } while (scan_.accept(","));
    }
    std::vector<Type> types;
    if (scan_.accept(":")) {
      do {
        types.push_back(type());
      } while (scan_.accept(","));
      if (types.size() != names.size())
        scan_.fail("{} values and {} types", names.size(), types.size());
    }
    std::string name = names.front().name();
    if (scan_.peek() == '"') name = scan_.string();
    std::shared_ptr<const Graph> body;
    if (scan_.peek_word() == "graph")
      body = std::make_shared<const Graph>(Parser(scan_, depth_ + 1).parse());

    const NodeId id = scan_.located(start, [&] {
      if (op == OpKind::Subgraph) {
        const NodeId node = graph_.add_subgraph(name, std::move(inputs), body);
        graph_.node(node).attributes = std::move(attributes);
        if (graph_.node(node).outputs.size() != names.size())
          throw Error(fmt::format("the body gives {} values, not {}",
                                  graph_.node(node).outputs.size(), names.size()));
        return node;
      }
      if (body != nullptr) throw Error(fmt::format("{} has no body", info(op).text));
      return graph_.add_node(op, name, std::move(inputs), std::move(attributes), names.size());
    });
    for (std::size_t i = 0; i < names.size(); ++i) {
      const ValueId output = graph_.node(id).outputs[i];
      graph_.value(output).name = names[i].name();
      if (!types.empty())
        scan_.located(start,
                      [&] { declare(graph_.value(output), names[i].text, std::move(types[i])); });
      define(names[i], output, start);
    }
  }

  /// Takes over the type that stands in the text; it may say more than inference.
  static void declare(Value& value, const std::string& name, Type given) {
    bool fits = given.precision == value.precision && given.shape.size() == value.shape.size();
    for (std::size_t i = 0; fits && i < given.shape.size(); ++i)
      fits = given.shape[i] == value.shape[i] || !given.shape[i].is_constant() ||
             !value.shape[i].is_constant();
    if (!fits)
      throw Error(fmt::format("%{} is declared as {}{}; it is {}{}", name,
                              to_string(given.precision), to_string(given.shape),
                              to_string(value.precision), to_string(value.shape)));
    value.shape = std::move(given.shape);
    if (given.elements) value.elements = std::move(given.elements);
  }

  // ---- parts of lines ----

  bool begins_operand() {
    const char c = scan_.peek();
    if (c == '%' || c == '-' || (c >= '0' && c <= '9') || c == '"') return true;
    const std::string_view word = scan_.peek_word();
    return !word.empty() && word != "graph" && word != "return" && word != "assume";
  }

  /// Whether `key =` comes next.
  bool is_attribute() {
    const std::size_t start = scan_.position();
    bool result = scan_.peek() == '"';
    if (!result) result = !scan_.word().empty() && scan_.peek() == '=';
    scan_.go_to(start);
    return result;
  }

  void attribute(Attributes& attributes) {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    std::string key = scan_.name();
    scan_.expect("=");
    if (!attributes.emplace(key, attribute_value()).second) {
      scan_.go_to(start);
      scan_.fail("attribute '{}' is given twice", key);
    }
  }

  Attribute attribute_value() {
    const char c = scan_.peek();
    if (c == '"') return scan_.string();
    if (c == '[') return integers();
    if (is_precision(scan_.peek_word())) return tensor();
    const std::string_view number = scan_.number();
    if (is_integer(number)) return parse_number<std::int64_t>(number);
    return parse_number<double>(number);
  }

  std::vector<ValueId> operands() {
    std::vector<ValueId> result;
    do {
      result.push_back(operand());
    } while (scan_.accept(","));
    return result;
  }

  ValueId operand() {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    if (scan_.peek() == '%') {
      const Spelling spelling = value();
      const auto known = values_.find(spelling);
      if (known != values_.end()) return known->second;
      scan_.go_to(start);
      scan_.fail("%{} is not defined", spelling.text);
    }
    const std::string_view word = scan_.peek_word();
    if (word == "_") {
      scan_.word();
      return kNone;
    }
    if (word == "true" || word == "false") {
      scan_.word();
      return graph_.add_constant("", Tensor::scalar(Precision::boolean, word == "true" ? 1 : 0));
    }
    if (is_precision(word)) {
      const Precision precision = precision_from_string(scan_.word());
      scan_.expect("(");
      Tensor scalar = Tensor::zeros(precision, {});
      set(scalar, 0, scan_.number());
      scan_.expect(")");
      return graph_.add_constant("", std::move(scalar));
    }
    const std::string_view number = scan_.number();
    Tensor scalar = Tensor::zeros(is_integer(number) ? Precision::i64 : Precision::f32, {});
    set(scalar, 0, number);
    return graph_.add_constant("", std::move(scalar));
  }

  Spelling value() {
    scan_.expect("%");
    const char c = scan_.peek();
    if (c < '0' || c > '9') return {scan_.name(), false};
    const std::string_view number = scan_.number();
    if (!std::all_of(number.begin(), number.end(), [](char d) { return d >= '0' && d <= '9'; }))
      scan_.fail("expected a name or a number, found '{}'", number);
    return {std::string(number), true};
  }

  void define(const Spelling& spelling, ValueId id, std::size_t position) {
    if (values_.emplace(spelling, id).second) return;
    scan_.go_to(position);
    scan_.fail("%{} is defined twice", spelling.text);
  }

  static bool is_precision(std::string_view word) {
    for (const Precision each :
         {Precision::f32, Precision::f64, Precision::f16, Precision::bf16, Precision::i64,
          Precision::i32, Precision::i16, Precision::i8, Precision::u64, Precision::u32,
          Precision::u16, Precision::u8, Precision::boolean})
      if (to_string(each) == word) return true;
    return false;
  }

  Precision precision() {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    return scan_.located(start, [&] { return precision_from_string(scan_.word()); });
  }

  std::vector<Expr> expressions(std::string_view open, std::string_view close) {
    std::vector<Expr> result;
    scan_.expect(open);
    if (scan_.accept(close)) return result;
    const std::string ends = "," + std::string(close);
    do {
      result.push_back(scan_.expression(ends));
    } while (scan_.accept(","));
    scan_.expect(close);
    return result;
  }

  Type type() {
    Type result;
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    result.precision = precision();
    result.shape = expressions("[", "]");
    if (scan_.peek() != '{') return result;
    result.elements = expressions("{", "}");
    const bool fits = !is_float(result.precision) && result.shape.size() <= 1 &&
                      (result.shape.empty() ? Expr(1) : result.shape[0]) ==
                          Expr(static_cast<std::int64_t>(result.elements->size()));
    if (!fits) {
      scan_.go_to(start);
      scan_.fail("the elements do not fit the type");
    }
    return result;
  }

  std::vector<std::int64_t> integers() {
    std::vector<std::int64_t> result;
    scan_.expect("[");
    if (scan_.accept("]")) return result;
    do {
      result.push_back(parse_number<std::int64_t>(scan_.number()));
    } while (scan_.accept(","));
    scan_.expect("]");
    return result;
  }

  Tensor tensor() {
    scan_.skip_blanks();
    const std::size_t start = scan_.position();
    const Precision element = precision();
    const Dims dims = integers();
    const std::int64_t count =
        scan_.located(start, [&] { return element_count(dims, "the constant"); });
    if (scan_.accept("dense"))
      scan_.fail("dense<...> stands for contents that the text does not hold");
    if (scan_.accept("splat")) {
      if (count > kMaxSplatElements) scan_.fail("the splat has too many elements");
      scan_.expect("<");
      Tensor result = Tensor::zeros(element, dims);
      const std::string_view number = scan_.number();
      if (count > 0) set(result, 0, number);
      for (std::int64_t i = 1; i < count; ++i)
        std::copy_n(result.data(), size_of(element),
                    result.mutable_data() + static_cast<std::size_t>(i) * size_of(element));
      scan_.expect(">");
      return result;
    }
    std::vector<std::pair<std::size_t, std::string_view>> numbers;  // with their positions
    scan_.expect("{");
    if (scan_.peek() != '}') {
      do {
        scan_.skip_blanks();
        const std::size_t position = scan_.position();
        numbers.emplace_back(position, scan_.number());
      } while (scan_.accept(","));
    }
    scan_.expect("}");
    if (static_cast<std::int64_t>(numbers.size()) != count)
      scan_.fail("the constant {} has {} elements; {} are given", to_string(dims), count,
                 numbers.size());
    Tensor result = Tensor::zeros(element, dims);
    const std::size_t end = scan_.position();
    for (std::int64_t i = 0; i < count; ++i) {
      const auto& [position, number] = numbers[static_cast<std::size_t>(i)];
      scan_.go_to(position);
      set(result, i, number);
    }
    scan_.go_to(end);
    return result;
  }

  // ---- numbers ----

  static bool is_integer(std::string_view number) {
    const std::size_t sign = number.substr(0, 1) == "-" ? 1 : 0;
    return number.size() > sign &&
           std::all_of(number.begin() + static_cast<std::ptrdiff_t>(sign), number.end(),
                       [](char c) { return c >= '0' && c <= '9'; });
  }

  template <typename T>
  T parse_number(std::string_view text) const {
    T result{};
    const auto end = std::from_chars(text.data(), text.data() + text.size(), result);
    if (end.ec == std::errc::result_out_of_range) scan_.fail("'{}' is out of range", text);
    if (end.ec != std::errc() || end.ptr != text.data() + text.size())
      scan_.fail("'{}' is not {}", text, std::is_integral_v<T> ? "an integer" : "a number");
    return result;
  }

  void set(Tensor& tensor, std::int64_t i, std::string_view number) const {
    switch (tensor.precision()) {
      case Precision::f32: tensor.mutable_as<float>()[i] = parse_number<float>(number); return;
      case Precision::f64:
      case Precision::f16:
      case Precision::bf16: tensor.set(i, parse_number<double>(number)); return;
      default: break;
    }
    const auto value = parse_number<std::int64_t>(number);
    tensor.set_int(i, value);
    if (tensor.int_at(i) != value)
      scan_.fail("{} is not in the range of {}", value, to_string(tensor.precision()));
  }

  Scanner& scan_;
  int depth_;
  Graph graph_;
  std::map<Spelling, ValueId> values_;
  bool has_returned_ = false;
};

}  // namespace

Graph parse_graph(std::string_view text) {
  Scanner scanner(text);
  Graph graph = Parser(scanner, 0).parse();
  if (!scanner.at_end()) scanner.fail("expected the end of the text");
  return graph;
}

}  // namespace burin
