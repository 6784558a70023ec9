#include "benchmarks/support/subgraphs.h"

#include <cmath>
#include <limits>
#include <random>

#include "burin/error.h"

namespace burin::bench {
namespace {

using Ints = std::vector<std::int64_t>;

ValueId transpose(GraphBuilder& b, ValueId x, Ints perm) { return b.op(OpKind::Transpose, {x}, {{"perm", std::move(perm)}}); }

ValueId chain_op(GraphBuilder& b, const std::string& name, ValueId x) {
  constexpr float kAddend = 0.25F, kFactor = 1.5F;
  if (name == "add") return b.op(OpKind::Add, {x, b.scalar(kAddend)});
  if (name == "mul") return b.op(OpKind::Mul, {x, b.scalar(kFactor)});
  if (name == "div") return b.op(OpKind::Div, {x, b.scalar(kFactor)});
  if (name == "relu") return b.op(OpKind::Relu, {x});
  if (name == "abs") return b.op(OpKind::Abs, {x});
  if (name == "neg") return b.op(OpKind::Neg, {x});
  if (name == "tanh") return b.op(OpKind::Tanh, {x});
  throw Error("unknown operation of a chain: " + name);
}

/// 0 where the key is no later than the query, else the lowest float; [S, S], from the shape of [B, S, H, D].
ValueId causal_mask(GraphBuilder& b, ValueId q) {
  const auto integer = [&](std::int64_t value) { return b.constant(Tensor::scalar(Precision::i64, static_cast<double>(value))); };
  const ValueId length = b.op(OpKind::Shape, {q}, {{"start", std::int64_t{1}}, {"end", std::int64_t{2}}});
  const ValueId limit = b.op(OpKind::Squeeze, {length}, {{"axes", Ints{0}}});
  const ValueId positions = b.op(OpKind::Range, {integer(0), limit, integer(1)});
  const ValueId visible = b.op(OpKind::LessOrEqual, {positions, b.op(OpKind::Unsqueeze, {positions}, {{"axes", Ints{1}}})});
  return b.op(OpKind::Where, {visible, b.scalar(0), b.scalar(std::numeric_limits<float>::lowest())});
}

Tensor random_tensor(const Dims& dims, std::mt19937_64& random) {
  Tensor t = Tensor::zeros(Precision::f32, dims);
  std::normal_distribution<float> normal;
  // The numbers of large tensors repeat: to draw all of them takes longer than to use them.
  constexpr std::int64_t kDrawn = 1 << 20;
  float* const data = t.mutable_as<float>();
  for (std::int64_t i = 0; i < t.size(); ++i)
    data[i] = i < kDrawn ? normal(random) : data[i - kDrawn];
  return t;
}

}  // namespace

const char* to_string(Mask mask) {
  switch (mask) {
    case Mask::none: return "none";
    case Mask::key: return "key";
    case Mask::full: return "full";
    case Mask::head: return "head";
    case Mask::causal: return "causal";
  }
  throw Error("unknown mask");
}

Graph attention(const AttentionShape& s, Mask mask, bool dynamic, const std::vector<std::string>& chain) {
  GraphBuilder b("attention");
  auto dimension = [&](const char* symbol, std::int64_t value) {
    return dynamic ? Expr::symbol(symbol) : Expr(value);
  };
  const Expr batch = dimension("B", s.batch), sequence = dimension("S", s.sequence),
             keys = s.keys == s.sequence ? sequence : dimension("K", s.keys);
  const ValueId q = b.input("q", Precision::f32, {batch, sequence, s.heads, s.head_size}),
                k = b.input("k", Precision::f32, {batch, keys, s.kv_heads, s.head_size}),
                v = b.input("v", Precision::f32, {batch, keys, s.kv_heads, s.head_size});
  auto repeat_heads = [&](ValueId x) {
    if (s.kv_heads == s.heads) return x;
    return b.op(OpKind::Repeat, {x}, {{"axis", std::int64_t{1}}, {"times", s.heads / s.kv_heads}});
  };
  const ValueId queries = transpose(b, q, {0, 2, 1, 3}),
                transposed_keys = repeat_heads(transpose(b, k, {0, 2, 3, 1})),
                values = repeat_heads(transpose(b, v, {0, 2, 1, 3}));
  ValueId x = b.op(OpKind::MatMul, {queries, transposed_keys});
  x = b.op(OpKind::Mul, {x, b.scalar(1.0F / std::sqrt(static_cast<float>(s.head_size)))});
  for (const std::string& name : chain) x = chain_op(b, name, x);
  if (mask == Mask::causal) {
    x = b.op(OpKind::Add, {x, causal_mask(b, q)});
  } else if (mask != Mask::none) {
    const Shape mask_shape = {batch, mask == Mask::head ? s.heads : 1,
                              mask == Mask::key ? Expr(1) : sequence, keys};
    x = b.op(OpKind::Add, {x, b.input("mask", Precision::f32, mask_shape)});
  }
  x = b.op(OpKind::Softmax, {x}, {{"axis", std::int64_t{3}}});
  x = b.op(OpKind::MatMul, {x, values});
  b.output(transpose(b, x, {0, 2, 1, 3}));
  Graph graph = b.build();
  canonicalize(graph);
  return graph;
}

std::map<std::string, std::int64_t> attention_symbols(const AttentionShape& s) {
  return {{"B", s.batch}, {"S", s.sequence}, {"K", s.keys}};
}

double attention_flops(const AttentionShape& s) {
  return 4.0 * static_cast<double>(s.batch * s.heads) * static_cast<double>(s.sequence) *
         static_cast<double>(s.keys) * static_cast<double>(s.head_size);
}

const std::vector<std::string>& elementwise_kinds() {
  static const std::vector<std::string> kinds = {"addmulrelu", "bias_gelu_mul", "swiglu", "deep10", "softmax", "rms"};
  return kinds;
}

Graph elementwise(const std::string& kind, std::int64_t rows, std::int64_t columns, bool dynamic) {
  GraphBuilder g(kind);
  const Expr m = dynamic ? Expr::symbol("M") : Expr(rows), n = dynamic ? Expr::symbol("N") : Expr(columns);
  const ValueId x = g.input("x", Precision::f32, {m, n});
  auto second = [&] { return g.input("y", Precision::f32, {m, n}); };
  auto bias = [&] { return g.input("b", Precision::f32, {n}); };
  auto op = [&](OpKind kind_of, std::vector<ValueId> in) { return g.op(kind_of, std::move(in)); };
  if (kind == "addmulrelu") {
    const ValueId y = second(), b = bias();
    g.output(op(OpKind::Relu, {op(OpKind::Mul, {op(OpKind::Add, {x, y}), b})}));
  } else if (kind == "bias_gelu_mul") {
    const ValueId y = second(), b = bias();
    g.output(op(OpKind::Mul, {op(OpKind::Gelu, {op(OpKind::Add, {x, b})}), y}));
  } else if (kind == "swiglu") {
    const ValueId y = second(), b = bias();
    g.output(op(OpKind::Mul, {op(OpKind::Mul, {x, op(OpKind::Sigmoid, {x})}), op(OpKind::Add, {y, b})}));
  } else if (kind == "deep10") {
    const ValueId y = second(), b = bias();
    auto multiply_add = [&](ValueId r) { return op(OpKind::Add, {op(OpKind::Mul, {r, y}), b}); };
    ValueId r = x;
    for (int i = 0; i < 4; ++i) r = op(OpKind::Max, {multiply_add(r), g.scalar(-3)});
    g.output(op(OpKind::Tanh, {multiply_add(r)}));
  } else if (kind == "softmax") {
    const ValueId y = second(), b = bias();
    g.output(g.op(OpKind::Softmax, {op(OpKind::Add, {op(OpKind::Mul, {x, y}), b})}, {{"axis", std::int64_t{1}}}));
  } else if (kind == "rms") {
    const ValueId y = second(), b = bias(), z = op(OpKind::Add, {x, y});
    const ValueId mean = g.op(OpKind::ReduceMean, {op(OpKind::Mul, {z, z})}, {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{1}}});
    const ValueId root = op(OpKind::Sqrt, {op(OpKind::Add, {mean, g.scalar(1e-6F)})});
    g.output(op(OpKind::Mul, {op(OpKind::Div, {z, root}), b}));
  } else {
    throw Error("unknown chain: " + kind);
  }
  return g.build();
}

const std::vector<std::string>& product_epilogues() {
  static const std::vector<std::string> epilogues = {"none", "bias_gelu", "bias_residual"};
  return epilogues;
}

Graph product(const ProductShape& s, const std::string& epilogue) {
  GraphBuilder g("product");
  std::mt19937_64 random(2);
  const Expr rows = Expr::symbol("M");
  const ValueId x = g.input("x", Precision::f32, {rows, s.depth});
  ValueId y = g.op(OpKind::MatMul, {x, g.constant(random_tensor({s.depth, s.columns}, random))});
  if (epilogue != "none") y = g.op(OpKind::Add, {y, g.constant(random_tensor({s.columns}, random))});
  if (epilogue == "bias_gelu") y = g.op(OpKind::Gelu, {y});
  if (epilogue == "bias_residual") y = g.op(OpKind::Add, {y, g.input("residual", Precision::f32, {rows, s.columns})});
  g.output(y);
  return g.build();
}

std::vector<Tensor> random_inputs(const Graph& body, const std::map<std::string, std::int64_t>& symbols) {
  std::mt19937_64 random(1);
  std::vector<Tensor> inputs;
  for (ValueId id : body.inputs) {
    Dims dims;
    for (const Expr& e : body.value(id).shape) dims.push_back(e.evaluate(symbols));
    inputs.push_back(random_tensor(dims, random));
  }
  return inputs;
}

Problem::Problem(const Graph& body, const std::map<std::string, std::int64_t>& symbols, int threads,
                 const CompileOptions& options)
    : compiled_(compile(body, options)),
      invocation_(compiled_.invocation(threads)),
      inputs_(random_inputs(body, symbols)),
      threads_(threads) {
  std::vector<TensorDesc> shapes;
  for (const Tensor& t : inputs_) {
    shapes.push_back({t.dims(), {}});
    in_.push_back(t.data());
  }
  invocation_.rebind(shapes);
  for (const Dims& dims : invocation_.output_shapes()) {
    outputs_.push_back(Tensor::zeros(Precision::f32, dims));
    out_.push_back(outputs_.back().mutable_data());
  }
  run();  // pages and caches are there when the clock starts
}

void Problem::run() {
  if (threads_ > 1)
    invocation_.run(in_, out_, default_executor());
  else
    invocation_.run(in_, out_);
}

}  // namespace burin::bench
