// The text form of Linear IR. print(parse_linear(t)) == t for every t that print() gave, save for constants
// too large to be written out.
//
//   linear @name lanes=16 symbols(B, S) {
//     input %q: f32[B,S,64] strides[in0.s0,in0.s1,1]      // %q "a/name:0" where the tensor's own name differs
//     output %out: f32[B,S] strides[S,1]
//     constant %c: f32[3] {1, lowest, -inf}               // or splat<0.5>, or dense<its hash>
//     worker %T: f32[48*S] offset=0                       // call: the same, shared by the workers
//     define rows.used = less(48, S)                      // a symbol that stands for an Expr
//     call %P: f32[64*S] used less(48, S) else %q         // the memory that is meant where the Expr is 0
//     fact S == T "subject"                               // also: 48 divides S, S >= 1
//     parallel _b in 0..B round 2 {                       // one version of step 1; rounds of 2 units
//       lanes _q in 0..S {                                // several versions; "brgemm lanes": for an executor
//         step 64 {
//           %m = fill lowest over(_q)
//           loop _k in 0..S step 8 partial {              // one version
//             %x = load %q[in0.s0*_b + in0.s1*_q + _k]
//             %m = update_max %m, %x
//             %n = integer S - _k
//             %e = elu %x, alpha=0.5
//             loop _all in 0..2 while %m <= -0.5 {        // a condition; its loop has one version of step 1
//             prefetch %q[in0.s0*_b + in0.s1*_q + 64]       // into the nearest cache; "second level" behind it: into that;
//                                                         // "once" behind it: for the first row of a tile only
//             store %out[S*_b + _q], %m past caches       // of outputs; usually nothing stands behind the value
//     ...
//
// White space does not matter, save that a fact, a definition, an offset and an integer end with their line (the last
// also at a brace); // starts a comment.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "burin/error.h"
#include "linear/linear_ir.h"
#include "linear/text.h"

namespace burin::linear {
namespace {

constexpr double kLowest = static_cast<double>(std::numeric_limits<float>::lowest());
/// Constants of more elements are printed as a hash.
constexpr std::int64_t kMaxWritten = 64;

bool has_parameter(Op op) {
  return op == Op::leaky_relu || op == Op::elu || op == Op::hard_sigmoid;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_name_character);
}

// ---------------------------------------------------------------------------------------------------------
// Printing. What is printed may be broken: print() is how one looks at what the verifier rejects.

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == kLowest) return "lowest";
  return fmt::format("{}", value);
}

std::string element(const Tensor& tensor, std::int64_t i) {
  if (!is_float(tensor.precision())) return fmt::format("{}", tensor.int_at(i));
  const double value = tensor.at(i);
  if (tensor.precision() == Precision::f64 || value == kLowest || !std::isfinite(value)) return number(value);
  return fmt::format("{}", static_cast<float>(value));  // fewer digits; the narrower formats are exact in f32
}

bool is_splat(const Tensor& tensor) {
  const std::size_t size = size_of(tensor.precision());
  for (std::size_t at = size; at < tensor.bytes(); at += size)
    if (std::memcmp(tensor.data(), tensor.data() + at, size) != 0) return false;
  return true;
}

std::uint64_t hash_of(const Tensor& tensor) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (std::size_t i = 0; i < tensor.bytes(); ++i)
    hash = (hash ^ static_cast<std::uint64_t>(tensor.data()[i])) * 0x100000001b3U;
  return hash;
}

std::string contents(const Tensor& tensor) {
  if (tensor.size() > 1 && is_splat(tensor)) return fmt::format("splat<{}>", element(tensor, 0));
  if (tensor.size() > kMaxWritten) return fmt::format("dense<{:016x}>", hash_of(tensor));
  std::vector<std::string> elements;
  for (std::int64_t i = 0; i < tensor.size(); ++i) elements.push_back(element(tensor, i));
  return fmt::format("{{{}}}", fmt::join(elements, ", "));
}

std::string text_of(const Facts::Check& check) {
  using Relation = Facts::Check::Relation;
  const char* relation = check.relation == Relation::equal     ? "=="
                         : check.relation == Relation::divides ? "divides"
                                                               : ">=";
  return fmt::format("{} {} {} {}", check.left.to_string(), relation, check.right.to_string(), quoted(check.subject));
}

class Printer {
 public:
  explicit Printer(const LinearIR& ir) : ir_(ir) {}

  std::string print() {
    emit("linear @{} lanes={}", is_name(ir_.name) ? ir_.name : quoted(ir_.name), ir_.lanes);
    if (!ir_.symbols.empty()) emit(" symbols({})", fmt::join(ir_.symbols, ", "));
    emit(" {{\n");
    indent_ = 2;
    ports(ir_.inputs, "input", Memory::Kind::input);
    ports(ir_.outputs, "output", Memory::Kind::output);
    for (std::size_t i = 0; i < ir_.constants.size(); ++i) {
      const Tensor& tensor = ir_.constants[i];
      line("constant{}: {}{} {}", memory_at(Memory::Kind::constant, i), burin::to_string(tensor.precision()),
           burin::to_string(tensor.dims()), contents(tensor));
    }
    for (const auto& [name, e] : ir_.definitions) line("define {} = {}", name, e.to_string());
    for (const Memory& m : ir_.memory) scratch(m);
    for (const Facts::Check& check : ir_.facts.checks()) line("fact {}", text_of(check));
    indent_ = 0;
    block(ir_.phases);
    emit("}}\n");
    return std::move(out_);
  }

  std::string expression(const Expression& e) const {
    const OpInfo& op = info(e.op);
    std::string text;
    if ((e.op != Op::store && e.op != Op::prefetch) || e.out != kNone) text = value(e.out) + " = ";
    text += op.text;
    if (e.memory != kNone || op.kind == OpClass::memory)
      text += fmt::format(" {}[{}]", memory(e.memory), e.index.to_string());
    if (e.op == Op::fill) text += " " + number(e.imm);
    if (is_integer(e.op)) text += " " + e.index.to_string();
    const char* separator = op.kind == OpClass::memory ? ", " : " ";
    for (const ValueId in : e.in) {
      text += separator + value(in);
      separator = ", ";
    }
    if (op.kind == OpClass::segments) text += " of " + e.index.to_string();
    if (has_parameter(e.op) || (e.op != Op::fill && e.imm != 0)) text += ", alpha=" + number(e.imm);
    if (e.past_caches) text += " past caches";
    if (e.second_level) text += " second level";
    if (e.once) text += " once";
    if (!e.over.empty()) text += fmt::format(" over({})", fmt::join(e.over, ", "));
    return text;
  }

 private:
  template <typename... A>
  void emit(fmt::format_string<A...> format, A&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<A>(arguments)...);
  }
  template <typename... A>
  void line(fmt::format_string<A...> format, A&&... arguments) {
    out_.append(indent_, ' ');
    emit(format, std::forward<A>(arguments)...);
    out_ += '\n';
  }

  /// " %name", or nothing where no memory stands for it.
  std::string memory_at(Memory::Kind kind, std::size_t index) const {
    for (const Memory& m : ir_.memory)
      if (m.kind == kind && m.index == index) return " %" + m.name;
    return "";
  }

  void ports(const std::vector<Port>& ports, std::string_view keyword, Memory::Kind kind) {
    for (std::size_t i = 0; i < ports.size(); ++i) {
      const Port& port = ports[i];
      std::string name = memory_at(kind, i);
      if (name != " %" + port.name) name += " " + quoted(port.name);
      line("{}{}: {}{} strides{}", keyword, name, burin::to_string(port.precision), burin::to_string(port.shape),
           burin::to_string(port.strides));
    }
  }

  void scratch(const Memory& m) {
    if (m.kind != Memory::Kind::worker && m.kind != Memory::Kind::call) return;
    line("{} %{}: {}[{}]{}{}", m.kind == Memory::Kind::worker ? "worker" : "call", m.name, burin::to_string(m.precision),
         m.elements.to_string(),
         m.otherwise == kNone ? "" : fmt::format(" used {} else {}", m.used.to_string(), memory(m.otherwise)),
         m.offset ? " offset=" + m.offset->to_string() : "");
  }

  void block(const Block& block) {
    indent_ += 2;
    for (const Item& item : block) {
      if (item.is_loop())
        loop(*item.loop);
      else
        line("{}", expression(item.expression));
    }
    indent_ -= 2;
  }

  static std::string step(const Loop::Version& version) {
    return fmt::format("step {}{}", version.step, version.partial ? " partial" : "");
  }

  static const char* keyword(const Loop& loop) {
    if (loop.brgemm) return "brgemm lanes";
    if (loop.lanes) return loop.parallel ? "parallel lanes" : "lanes";
    return loop.parallel ? "parallel" : "loop";
  }

  void loop(const Loop& loop) {
    std::string header = fmt::format("{} {} in {}..{}", keyword(loop), loop.var, loop.begin.to_string(), loop.end.to_string());
    if (loop.condition) header += fmt::format(" while {} <= {}", value(loop.condition->value), number(loop.condition->at_most));
    const std::string round = loop.round == Expr(0) ? "" : " round " + loop.round.to_string();
    if (loop.versions.size() == 1) {
      const Loop::Version& only = loop.versions.front();
      const bool plain = only.step == 1 && !only.partial;
      line("{}{}{} {{", header, plain ? "" : " " + step(only), round);
      block(only.body);
    } else {
      line("{} {{", header);
      indent_ += 2;
      for (const Loop::Version& version : loop.versions) {
        line("{} {{", step(version));
        block(version.body);
        line("}}");
      }
      indent_ -= 2;
    }
    line("}}");
  }

  std::string value(ValueId id) const {
    if (id < ir_.values.size()) return "%" + ir_.values[id];
    return id == kNone ? "%none" : fmt::format("%unknown{}", id);
  }

  std::string memory(MemoryId id) const {
    if (id < ir_.memory.size()) return "%" + ir_.memory[id].name;
    return id == kNone ? "%none" : fmt::format("%unknown{}", id);
  }

  const LinearIR& ir_;
  std::string out_;
  std::size_t indent_ = 0;
};

// ---------------------------------------------------------------------------------------------------------
// Parsing: recursive descent over characters. What is only meaningless, not misspelt, is left to the verifier.

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  LinearIR parse() {
    keyword("linear");
    expect('@');
    ir_.name = next() == '"' ? string() : std::string(word("a name"));
    keyword("lanes");
    expect('=');
    ir_.lanes = integer();
    if (accept_word("symbols")) {
      expect('(');
      if (!accept(')')) {
        do {
          ir_.symbols.emplace_back(symbol());
        } while (accept(','));
        expect(')');
      }
    }
    expect('{');
    while (!accept('}'))
      if (!declaration()) ir_.phases.push_back(item());
    if (next() != '\0') fail("expected the end of the text");
    return std::move(ir_);
  }

 private:
  static constexpr int kMaxNesting = 64;
  static constexpr std::int64_t kMaxElements = std::int64_t{1} << 24;

  // ---- characters and words

  [[noreturn]] void fail_at(std::size_t at, std::string_view reason) const {
    const std::string_view before = text_.substr(0, at);
    const auto line = std::ranges::count(before, '\n') + 1;
    const std::size_t start = before.rfind('\n');  // npos + 1 is 0
    throw Error(fmt::format("Linear IR text, line {}, column {}: {}", line, at - (start + 1) + 1, reason));
  }
  [[noreturn]] void fail(std::string_view reason) const { fail_at(at_, reason); }

  void skip_space() {
    for (; at_ < text_.size(); ++at_) {
      if (text_.substr(at_).starts_with("//")) at_ = std::min(text_.find('\n', at_), text_.size());
      if (at_ == text_.size() || std::string_view(" \t\r\n").find(text_[at_]) == std::string_view::npos) return;
    }
  }

  /// The next character that is no white space; 0 at the end.
  char next() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (next() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected '{}', found {}", c, found()));
  }
  std::string found() {
    const char c = next();
    return at_ == text_.size() ? "the end" : fmt::format("'{}'", c);
  }

  std::string_view peek_word() {
    skip_space();
    std::size_t end = at_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  std::string_view word(std::string_view what) {
    const std::string_view found_word = peek_word();
    if (found_word.empty()) fail(fmt::format("expected {}, found {}", what, found()));
    at_ += found_word.size();
    return found_word;
  }
  bool accept_word(std::string_view expected) {
    if (peek_word() != expected) return false;
    at_ += expected.size();
    return true;
  }
  void keyword(std::string_view expected) {
    if (!accept_word(expected)) fail(fmt::format("expected '{}'", expected));
  }

  std::string symbol() {
    next();
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_name_character(text_[at_]) || text_[at_] == '?')) ++at_;
    const auto name = expression_of(start, at_).as_symbol();
    if (!name) fail_at(start, "expected a name that starts with a letter or '_'");
    return *name;
  }

  std::string string() {
    expect('"');
    std::string out;
    for (;; ++at_) {
      if (at_ >= text_.size()) fail("a string has no closing '\"'");
      char c = text_[at_];
      if (c == '"') break;
      if (c == '\\') {
        if (++at_ >= text_.size()) fail("a string has no closing '\"'");
        c = text_[at_] == 'n' ? '\n' : text_[at_];
      }
      out += c;
    }
    ++at_;
    return out;
  }

  // ---- numbers and expressions

  std::string_view number_text() {
    next();
    std::size_t end = at_;
    while (end < text_.size() && (is_name_character(text_[end]) || text_[end] == '-' || text_[end] == '+')) ++end;
    if (end == at_) fail(fmt::format("expected a number, found {}", found()));
    const std::string_view digits = text_.substr(at_, end - at_);
    at_ = end;
    return digits;
  }

  template <class T>
  T number_as(std::string_view digits) const {
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const std::size_t start = at_ - digits.size();
    if (error == std::errc::result_out_of_range) fail_at(start, fmt::format("{} is out of range", digits));
    if (error != std::errc() || end != digits.data() + digits.size())
      fail_at(start, fmt::format("'{}' is not a number", digits));
    return value;
  }

  std::int64_t integer() { return number_as<std::int64_t>(number_text()); }

  double real() {
    const std::string_view digits = number_text();
    return digits == "lowest" ? kLowest : number_as<double>(digits);
  }

  Expr expression_of(std::size_t start, std::size_t end) const {
    try {
      return Expr::parse(text_.substr(start, end - start));
    } catch (const Error& error) {
      fail_at(start, error.what());
    }
  }

  /// [a, b, ...] or [].
  std::vector<Expr> expressions() {
    expect('[');
    std::vector<Expr> out;
    if (accept(']')) return out;
    int depth = 0;
    std::size_t start = at_;
    for (;; ++at_) {
      if (at_ >= text_.size()) fail_at(start, "expected ']'");
      const char c = text_[at_];
      depth += (c == '(' ? 1 : 0) - (c == ')' ? 1 : 0);
      if (c != ']' && (c != ',' || depth != 0)) continue;
      out.push_back(expression_of(start, at_));
      start = at_ + 1;
      if (c == ']') break;
    }
    ++at_;
    return out;
  }

  Expr index() {
    const std::size_t start = at_;
    std::vector<Expr> all = expressions();
    if (all.size() != 1) fail_at(start, "expected one index");
    return std::move(all.front());
  }

  /// Where the line ends, or the comment at its end begins.
  std::size_t end_of_line() const {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    return std::min(text_.substr(0, end).find("//", at_), end);
  }

  // ---- declarations

  bool declaration() {
    if (accept_word("input")) return port(ir_.inputs, Memory::Kind::input);
    if (accept_word("output")) return port(ir_.outputs, Memory::Kind::output);
    if (accept_word("constant")) return constant();
    if (accept_word("worker")) return scratch(Memory::Kind::worker);
    if (accept_word("call")) return scratch(Memory::Kind::call);
    if (accept_word("fact")) return fact();
    if (accept_word("define")) return definition();
    return false;
  }

  Precision precision() {
    next();
    const std::size_t start = at_;
    const std::string_view name = word("a precision");
    try {
      return precision_from_string(name);
    } catch (const Error& error) {
      fail_at(start, error.what());
    }
  }

  void declare(Memory m, std::size_t at) {
    if (!memories_.emplace(m.name, static_cast<MemoryId>(ir_.memory.size())).second)
      fail_at(at, fmt::format("%{} is declared twice", m.name));
    ir_.memory.push_back(std::move(m));
  }

  bool port(std::vector<Port>& ports, Memory::Kind kind) {
    Port port;
    Memory m{kind, "", static_cast<std::uint32_t>(ports.size()), Precision::f32, {}, {}};
    next();
    const std::size_t start = at_;
    if (accept('%')) m.name = word("a name");
    port.name = m.name.empty() || next() == '"' ? string() : m.name;
    expect(':');
    port.precision = precision();
    m.precision = precision_in_memory(port.precision);
    port.shape = expressions();
    keyword("strides");
    port.strides = expressions();
    ports.push_back(std::move(port));
    if (!m.name.empty()) declare(std::move(m), start);
    return true;
  }

  bool scratch(Memory::Kind kind) {
    next();
    const std::size_t start = at_;
    Memory m{kind, "", 0, Precision::f32, {}, {}};
    expect('%');
    m.name = word("a name");
    expect(':');
    m.precision = precision();
    m.elements = index();
    if (accept_word("used")) {
      next();
      const std::size_t from = at_;
      const std::size_t end = std::min(text_.find(" else ", at_), end_of_line());
      m.used = expression_of(from, end);
      at_ = end;
      keyword("else");
      m.otherwise = memory();
    }
    if (accept_word("offset")) {
      expect('=');
      next();
      const std::size_t from = at_;
      at_ = end_of_line();
      m.offset = expression_of(from, at_);
    }
    declare(std::move(m), start);
    return true;
  }

  bool definition() {
    std::string name = symbol();
    expect('=');
    next();
    const std::size_t from = at_;
    at_ = end_of_line();
    ir_.definitions.emplace_back(std::move(name), expression_of(from, at_));
    return true;
  }

  bool constant() {
    next();
    const std::size_t start = at_;
    Memory m{Memory::Kind::constant, "", static_cast<std::uint32_t>(ir_.constants.size()), Precision::f32, {}, {}};
    if (accept('%')) m.name = word("a name");
    expect(':');
    const Precision of_tensor = precision();
    m.precision = precision_in_memory(of_tensor);
    Dims dims;
    for (const Expr& e : expressions()) {
      const auto size = e.as_constant();
      if (!size) fail_at(start, "the dimensions of a constant are numbers");
      dims.push_back(*size);
    }
    ir_.constants.push_back(contents(of_tensor, dims, start));
    if (!m.name.empty()) declare(std::move(m), start);
    return true;
  }

  Tensor contents(Precision precision, const Dims& dims, std::size_t start) {
    std::int64_t size = 0;
    try {
      size = element_count(dims, "the constant");
    } catch (const Error& error) {
      fail_at(start, error.what());
    }
    if (size > kMaxElements) fail_at(start, fmt::format("a constant of {} elements is too large for the text", size));
    Tensor tensor = Tensor::zeros(precision, dims);
    if (accept_word("dense")) fail("the elements of a constant printed as dense<...> are not in the text");
    if (accept_word("splat")) {
      expect('<');
      const std::string_view digits = number_text();
      for (std::int64_t i = 0; i < size; ++i) set(tensor, i, digits);
      expect('>');
      return tensor;
    }
    expect('{');
    for (std::int64_t i = 0; i < size; ++i) {
      if (i != 0) expect(',');
      set(tensor, i, number_text());
    }
    expect('}');
    return tensor;
  }

  void set(Tensor& tensor, std::int64_t i, std::string_view digits) const {
    if (!is_float(tensor.precision())) {
      const auto value = number_as<std::int64_t>(digits);
      tensor.set_int(i, value);
      if (tensor.int_at(i) != value) fail(fmt::format("{} does not fit {}", value, burin::to_string(tensor.precision())));
    } else if (digits == "lowest") {
      tensor.set(i, kLowest);
    } else if (tensor.precision() == Precision::f64) {
      tensor.set(i, number_as<double>(digits));
    } else {
      tensor.set(i, static_cast<double>(number_as<float>(digits)));
    }
  }

  bool fact() {
    next();
    const std::size_t start = at_;
    const std::size_t end = end_of_line();
    const std::size_t quote = std::min(text_.find('"', at_), end);
    const auto split = [&](std::string_view relation) {
      const std::size_t found = text_.find(relation, start);
      return found < quote ? found : std::string_view::npos;
    };
    const auto assume = [&](std::size_t middle, std::size_t size, const auto& f) {
      const Expr left = expression_of(start, middle);
      const Expr right = expression_of(middle + size, quote);
      at_ = quote;
      const std::string subject = string();
      try {
        f(left, right, subject);
      } catch (const Error& error) {
        fail_at(start, error.what());
      }
      return true;
    };
    if (const std::size_t at = split(" == "); at != std::string_view::npos)
      return assume(at, 4, [this](const Expr& a, const Expr& b, const std::string& subject) {
        ir_.facts.assume_equal(a, b, subject);
      });
    if (const std::size_t at = split(" divides "); at != std::string_view::npos)
      return assume(at, 9, [this](const Expr& a, const Expr& b, const std::string& subject) {
        ir_.facts.assume_divides(a, b, subject);
      });
    if (const std::size_t at = split(" >= "); at != std::string_view::npos)
      return assume(at, 4, [this](const Expr& a, const Expr& b, const std::string& subject) {
        if (!b.as_constant()) throw Error("the bound is a number");
        ir_.facts.assume_at_least(a, *b.as_constant(), subject);
      });
    fail("expected A == B, A divides B or A >= number, and a string");
  }

  // ---- the tree

  Block block() {
    Block out;
    while (!accept('}')) out.push_back(item());
    return out;
  }

  Item item() {
    const std::string_view first = peek_word();
    if (first == "loop" || first == "parallel" || first == "lanes" || first == "brgemm") return loop();
    if (first == "store") return store();
    if (first == "prefetch") return prefetch();
    if (next() != '%') fail(fmt::format("expected a loop, an expression or '}}', found {}", found()));
    return assignment();
  }

  Loop loop() {
    if (++nesting_ > kMaxNesting) fail(fmt::format("loops are nested more than {} deep", kMaxNesting));
    Loop out;
    if (accept_word("brgemm")) {
      out.brgemm = out.lanes = true;
      keyword("lanes");
    } else if (accept_word("parallel")) {
      out.parallel = true;
      out.lanes = accept_word("lanes");
    } else if (accept_word("lanes")) {
      out.lanes = true;
    } else {
      keyword("loop");
    }
    out.var = symbol();
    keyword("in");
    Loop::Version only = header(out);
    expect('{');
    if (peek_word() == "step") {
      if (only.step != 1 || only.partial) fail("this loop already has a step, in its first line");
      while (!accept('}')) {
        Loop::Version version = step();
        expect('{');
        version.body = block();
        out.versions.push_back(std::move(version));
      }
    } else {
      only.body = block();
      out.versions.push_back(std::move(only));
    }
    --nesting_;
    return out;
  }

  static constexpr std::string_view kRound = " round ";

  Loop::Version step() {
    Loop::Version version;
    keyword("step");
    version.step = integer();
    version.partial = accept_word("partial");
    return version;
  }

  /// begin..end, then perhaps a condition, the step, the round; up to the brace.
  Loop::Version header(Loop& loop) {
    next();
    const std::size_t start = at_;
    const std::size_t end = text_.find('{', at_);
    const std::size_t dots = text_.find("..", at_);
    if (end == std::string_view::npos) fail("expected '{'");
    if (dots >= end) fail("expected begin..end");
    std::size_t range_end = end;
    if (const std::size_t word = text_.substr(0, end).rfind(kRound); word != std::string_view::npos && word > dots) {
      loop.round = expression_of(word + kRound.size(), end);
      range_end = word;
    }
    // The step has a number behind it (a symbol may be called "step", too).
    Loop::Version version;
    const std::size_t word = text_.substr(0, range_end).rfind(" step ");
    if (word != std::string_view::npos && word > dots && text_[word + 6] >= '0' && text_[word + 6] <= '9') {
      at_ = word;
      version = step();
      next();
      if (at_ < range_end) fail("expected '{'");
      range_end = word;
    }
    if (const std::size_t condition = text_.substr(0, range_end).rfind(kWhile); condition != std::string_view::npos && condition > dots) {
      at_ = condition + kWhile.size();
      loop.condition = while_at_most();
      range_end = condition;
    }
    loop.begin = expression_of(start, dots);
    loop.end = expression_of(dots + 2, range_end);
    at_ = end;
    return version;
  }

  static constexpr std::string_view kWhile = " while ";
  Loop::Condition while_at_most() {
    Loop::Condition condition;
    condition.value = value();
    expect('<');
    expect('=');
    condition.at_most = real();
    return condition;
  }

  ValueId value() {
    expect('%');
    const std::string name(word("a value's name"));
    const auto [found, is_new] = values_.emplace(name, static_cast<ValueId>(ir_.values.size()));
    if (is_new) ir_.values.push_back(name);
    return found->second;
  }

  MemoryId memory() {
    expect('%');
    const std::size_t start = at_;
    const auto found = memories_.find(word("the name of a memory"));
    if (found == memories_.end()) fail_at(start, fmt::format("there is no memory %{}", text_.substr(start, at_ - start)));
    return found->second;
  }

  Expression store() {
    Expression e;
    e.op = Op::store;
    keyword("store");
    e.memory = memory();
    e.index = index();
    expect(',');
    e.in.push_back(value());
    e.past_caches = accept_word("past");
    if (e.past_caches) keyword("caches");
    return e;
  }

  Expression prefetch() {
    Expression e;
    e.op = Op::prefetch;
    keyword("prefetch");
    e.memory = memory();
    e.index = index();
    e.second_level = accept_word("second");
    if (e.second_level) keyword("level");
    e.once = accept_word("once");
    return e;
  }

  Expression assignment() {
    Expression e;
    e.out = value();
    expect('=');
    next();
    const std::size_t start = at_;
    const std::string_view name = word("an operation");
    const auto op = op_from_text(name);
    if (!op) fail_at(start, fmt::format("there is no operation '{}'", name));
    if (*op == Op::store || *op == Op::prefetch) fail_at(start, fmt::format("a {} gives no value", name));
    e.op = *op;
    switch (e.op) {
      case Op::load:
        e.memory = memory();
        e.index = index();
        break;
      case Op::fill:
        e.imm = real();
        break;
      case Op::integer:
      case Op::integer_i32: e.index = rest_of_line(); break;
      default: operands(e); break;
    }
    if (info(e.op).kind == OpClass::segments) {
      keyword("of");
      e.index = rest_of_line();
    }
    if (e.op == Op::fill && accept_word("over")) {
      expect('(');
      do {
        e.over.push_back(symbol());
      } while (accept(','));
      expect(')');
    }
    return e;
  }

  Expr rest_of_line() {
    next();
    const std::size_t from = at_;
    at_ = std::min(end_of_line(), text_.find('}', at_));
    return expression_of(from, at_);
  }

  /// %a, %b, ..., perhaps alpha=number last.
  void operands(Expression& e) {
    if (next() != '%') return;
    do {
      if (next() != '%') {
        keyword("alpha");
        expect('=');
        e.imm = real();
        return;
      }
      e.in.push_back(value());
    } while (accept(','));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  LinearIR ir_;
  std::map<std::string, ValueId, std::less<>> values_;
  std::map<std::string, MemoryId, std::less<>> memories_;
};

}  // namespace

std::string print(const LinearIR& ir) { return Printer(ir).print(); }

std::string to_string(const Expression& e, const LinearIR& ir) { return Printer(ir).expression(e); }

LinearIR parse_linear(std::string_view text) { return Parser(text).parse(); }

}  // namespace burin::linear
