#include "tests/support/random_shapes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace burin::testing {
namespace {

bool starts_with(const std::string& text, std::string_view prefix) { return text.rfind(prefix, 0) == 0; }

std::int64_t random_size(const std::string& symbol, Random& random) {
  if (starts_with(symbol, "B")) return random.chance(0.03) ? 0 : random.between(1, 3);
  if (starts_with(symbol, "H")) return random.between(1, 4);
  if (starts_with(symbol, "D")) return random.pick(head_sizes());
  if (symbol == "T") return random.chance(0.03) ? 0 : random.pick(tail_sizes());
  return random.pick(tail_sizes());
}

std::int64_t dimension_product(const Shape& shape, const std::map<std::string, std::int64_t>& symbols) {
  std::int64_t n = 1;
  for (const Expr& e : shape) n *= e.evaluate(symbols);
  return n;
}

double masked(const std::string& name, Random& random) {
  const double draw = random.real(0, 1);
  if (draw < 0.5) return random.real(-2, 2);
  if (draw < 0.7) return 0;
  if ((starts_with(name, "mask_add") || starts_with(name, "mask_rows")) && draw < 0.8) return -std::numeric_limits<double>::infinity();
  if (draw < 0.9) return std::numeric_limits<float>::lowest();
  return kHidden;
}

double random_number(const std::string& name, Random& random) {
  if (starts_with(name, "pos")) return random.real(0.5, 2);
  if (starts_with(name, "unit")) return random.real(-1, 1);
  if (starts_with(name, "grid")) return static_cast<double>(random.between(-8, 8)) / 4;
  return random.real(-2, 2);
}

/// Named "wild": of any magnitude and bits, near what words, f32 and i64 end at; else small.
std::int64_t random_integer(const std::string& name, Random& random) {
  if (!starts_with(name, "wild") || random.chance(0.3)) return random.between(-9, 9);
  const std::int64_t power = random.between(0, 63);
  const std::uint64_t near = (std::uint64_t{1} << power) + static_cast<std::uint64_t>(random.between(-2, 2));
  const std::uint64_t x = random.chance(0.5) ? random.next() >> power : near;
  return static_cast<std::int64_t>(random.chance(0.5) ? x : 0 - x);
}

Tensor random_tensor(const std::string& name, Precision precision, const Dims& dims, Random& random) {
  Tensor t = Tensor::zeros(precision, dims);
  const std::int64_t last = dims.empty() ? 1 : dims.back();
  const bool mask = starts_with(name, "mask");
  const bool hides_rows = starts_with(name, "mask_rows");
  bool whole_row = false;
  for (std::int64_t i = 0; i < t.size(); ++i) {
    const bool first_key = i % last == 0;
    if (first_key) whole_row = (hides_rows || starts_with(name, "mask_any")) && random.chance(hides_rows ? 0.3 : 0.1);
    if (precision == Precision::boolean)
      t.set_int(i, !whole_row && ((mask && first_key) || random.chance(0.7)) ? 1 : 0);
    else if (precision == Precision::i32 || precision == Precision::i64)
      t.set_int(i, random_integer(name, random));
    else if (whole_row)
      t.set(i, hides_rows ? -std::numeric_limits<double>::infinity() : std::numeric_limits<float>::lowest());
    else if (mask)
      t.set(i, first_key ? random.real(-2, 2) : masked(name, random));
    else
      t.set(i, random_number(name, random));
  }
  return t;
}

}  // namespace

const std::vector<std::int64_t>& tail_sizes() {
  static const std::vector<std::int64_t> sizes = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16, 17,  24,  31,  32,  33,  47, 48,
                                                  49, 61, 63, 64, 65, 79, 80, 81, 95, 96, 97,  127, 128, 129, 144, 145};
  return sizes;
}

const std::vector<std::int64_t>& head_sizes() {
  static const std::vector<std::int64_t> sizes = {8, 16, 24, 33, 40, 64, 72, 80, 128};
  return sizes;
}

double interpretation_work(const Graph& graph, const std::map<std::string, std::int64_t>& symbols) {
  double total = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    double n = static_cast<double>(dimension_product(graph.value(node.outputs[0]).shape, symbols));
    if (node.op == OpKind::MatMul)
      n *= static_cast<double>(graph.value(node.inputs[0]).shape.back().evaluate(symbols));
    else
      n *= 4;
    total += n;
  }
  return total;
}

std::map<std::string, std::int64_t> random_symbols(const Graph& graph, Random& random, double budget) {
  const std::vector<std::string> names = graph.symbols();
  std::map<std::string, std::int64_t> values;
  for (const std::string& s : names) values[s] = random_size(s, random);
  auto settle_partners = [&] {
    for (const std::string& s : names)
      if (starts_with(s, "P"))
        if (auto it = values.find("N" + s.substr(1)); it != values.end()) values[s] = random.chance(0.5) ? 1 : it->second;
  };
  settle_partners();
  for (int attempt = 0; attempt < 200 && interpretation_work(graph, values) > budget && !names.empty(); ++attempt) {
    const std::string& s = random.pick(names);
    values[s] = std::min(values[s], std::max<std::int64_t>(1, random_size(s, random)));
    settle_partners();
  }
  return values;
}

std::vector<Tensor> random_contents(const Graph& graph, const std::map<std::string, std::int64_t>& symbols, Random& random) {
  std::vector<Tensor> out;
  for (ValueId id : graph.inputs) {
    const Value& v = graph.value(id);
    Dims dims;
    for (const Expr& e : v.shape) dims.push_back(e.evaluate(symbols));
    out.push_back(random_tensor(v.name, v.precision, dims, random));
  }
  return out;
}

}  // namespace burin::testing
