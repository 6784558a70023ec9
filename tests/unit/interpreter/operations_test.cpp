// Every operation against values that are not Burin's own: tests/data/interpreter_cases.txt, which
// tests/data/make_interpreter_cases.py wrote with ONNX Runtime and numpy.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "burin/graph.h"

#ifndef BURIN_TEST_DIR
#define BURIN_TEST_DIR "tests"
#endif

namespace burin {
namespace {

struct CaseInput {
  enum class Kind { input, constant, absent } kind;
  Tensor tensor;
};

struct Case {
  std::string name;
  OpKind op;
  Attributes attributes;
  std::vector<CaseInput> inputs;
  std::vector<Tensor> outputs;
};

/// "f32 [2,3] 1 2 3 4 5 6"
Tensor read_tensor(std::istream& words) {
  std::string precision, spelled;
  words >> precision >> spelled;
  Dims dims;
  std::istringstream list(spelled.substr(1, spelled.size() - 2));
  for (std::string dim; std::getline(list, dim, ',');) dims.push_back(std::stoll(dim));
  Tensor tensor = Tensor::zeros(precision_from_string(precision), dims);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    std::string number;
    words >> number;
    if (is_float(tensor.precision())) {
      tensor.set(i, std::strtod(number.c_str(), nullptr));
    } else {
      tensor.set_int(i, std::stoll(number));
    }
  }
  if (!words) throw std::runtime_error("a tensor is cut off");
  return tensor;
}

Attribute read_attribute(std::istream& words) {
  std::string kind, word;
  words >> kind;
  if (kind == "t") return read_tensor(words);
  std::vector<std::string> rest;
  while (words >> word) rest.push_back(word);
  if (kind == "i") return static_cast<std::int64_t>(std::stoll(rest.at(0)));
  if (kind == "f") return std::stod(rest.at(0));
  if (kind == "s") return rest.at(0);
  std::vector<std::int64_t> list;
  for (const std::string& number : rest) list.push_back(std::stoll(number));
  return list;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> result;
    std::ifstream file(std::string(BURIN_TEST_DIR) + "/data/interpreter_cases.txt");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string word;
      words >> word;
      if (word == "case") {
        words >> result.emplace_back().name;
      } else if (word == "op") {
        words >> word;
        result.back().op = op_from_name(word).value();
      } else if (word == "attr") {
        words >> word;
        result.back().attributes[word] = read_attribute(words);
      } else if (word == "in") {
        result.back().inputs.push_back({CaseInput::Kind::input, read_tensor(words)});
      } else if (word == "const") {
        result.back().inputs.push_back({CaseInput::Kind::constant, read_tensor(words)});
      } else if (word == "none") {
        result.back().inputs.push_back({CaseInput::Kind::absent, {}});
      } else if (word == "out") {
        result.back().outputs.push_back(read_tensor(words));
      }
    }
    return result;
  }();
  return all;
}

/// How the graph of a case states the dimensions of its inputs.
enum class Dimensions { constant, symbolic };

/// What inference cannot do without: the rank of a shape that is computed, the kernel of a
/// convolution, the depth of the indices.
bool must_be_known(OpKind op, std::size_t input, bool last_dimension) {
  switch (op) {
    case OpKind::Conv:
    case OpKind::Reshape: return input == 1;
    case OpKind::GatherND:
    case OpKind::ScatterND: return input == 1 && last_dimension;
    case OpKind::ConstantOfShape: return true;
    default: return false;
  }
}

struct Built {
  Graph graph;
  std::vector<Tensor> inputs;
};

Built build(const Case& c, Dimensions dimensions) {
  Built built;
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const CaseInput& input = c.inputs[i];
    const std::string name = "in" + std::to_string(i);
    if (input.kind == CaseInput::Kind::absent) {
      ids.push_back(kNone);
    } else if (input.kind == CaseInput::Kind::constant) {
      ids.push_back(built.graph.add_constant(name, input.tensor));
    } else {
      Shape shape;
      const std::size_t rank = input.tensor.dims().size();
      for (std::size_t d = 0; d < rank; ++d) {
        const bool known =
            dimensions == Dimensions::constant || must_be_known(c.op, i, d + 1 == rank);
        shape.push_back(known ? Expr(input.tensor.dims()[d])
                              : Expr::symbol(name + "_" + std::to_string(d)));
      }
      ids.push_back(built.graph.add_input(name, input.tensor.precision(), shape));
      built.inputs.push_back(input.tensor);
    }
  }
  const NodeId node = built.graph.add_node(c.op, "n", ids, c.attributes, c.outputs.size());
  built.graph.outputs = built.graph.node(node).outputs;
  return built;
}

void expect_close(const Tensor& given, const Tensor& expected) {
  ASSERT_EQ(to_string(given.precision()), to_string(expected.precision()));
  ASSERT_EQ(given.dims(), expected.dims());
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    if (!is_float(expected.precision())) {
      EXPECT_EQ(given.int_at(i), expected.int_at(i)) << "element " << i;
      continue;
    }
    const double a = given.at(i), b = expected.at(i);
    if (std::isnan(b) || std::isinf(b)) {
      EXPECT_TRUE(std::isnan(b) ? std::isnan(a) : a == b)
          << "element " << i << ": " << a << " for " << b;
    } else {
      EXPECT_NEAR(a, b, 4e-6 * std::max(1.0, std::abs(b))) << "element " << i;
    }
  }
}

class Operations : public testing::TestWithParam<std::size_t> {
 protected:
  void check(Dimensions dimensions) const {
    const Case& c = cases()[GetParam()];
    const Built built = build(c, dimensions);
    const std::vector<Tensor> results = interpret(built.graph, built.inputs);
    ASSERT_EQ(results.size(), c.outputs.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      SCOPED_TRACE("output " + std::to_string(i));
      expect_close(results[i], c.outputs[i]);
    }
  }
};

TEST_P(Operations, AgreesWithConstantDimensions) { check(Dimensions::constant); }

// Inference sees symbols here; the interpreter compares what it says of them with what happens.
TEST_P(Operations, AgreesWithSymbolicDimensions) { check(Dimensions::symbolic); }

INSTANTIATE_TEST_SUITE_P(Cases, Operations, testing::Range(std::size_t{0}, cases().size()),
                         [](const auto& info) {
                           std::string name = cases()[info.param].name;
                           for (char& c : name)
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           return name;
                         });

TEST(OperationCases, CoverEveryOperation) {
  std::set<OpKind> covered{OpKind::Subgraph};  // graph_test.cpp
  for (const Case& c : cases()) covered.insert(c.op);
  for (const OpKind op : {
#define BURIN_OP(name, text, category, min_inputs, max_inputs) OpKind::name,
#include "burin/ops.def"
       })
    EXPECT_TRUE(covered.contains(op)) << info(op).name << " has no case";
}

}  // namespace
}  // namespace burin
