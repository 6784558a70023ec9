#include <gtest/gtest.h>

#include "frontend/onnx_model.h"

namespace burin::frontend {
namespace {

TEST(KnownPart, EveryNodeThatIsLeftHasItsReason) {
  OnnxModel model;
  model.opsets[""] = 17;
  model.inputs = {{"x", Precision::f32, {std::int64_t{4}}}};
  model.outputs = {"y", "z"};
  model.nodes = {{"NoSuchOperator", "", "node", {"x"}, {"y"}, {}}, {"If", "", "node", {"x"}, {"z"}, {}}};
  const OnnxKnownPart known = import_known(model, {});
  std::string reasons;
  for (auto [node, end] = known.left.equal_range("node"); node != end; ++node) reasons += node->second + "\n";
  EXPECT_EQ(reasons,
            "node 'node' (NoSuchOperator): the operator is not supported\n"
            "node 'node' (If): control flow (a graph inside of a node) is not supported\n");
}

}  // namespace
}  // namespace burin::frontend
