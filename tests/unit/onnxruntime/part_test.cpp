#include "plugins/onnxruntime/part.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/onnxruntime/model_writer.h"

namespace burin::ort {
namespace {

using frontend::OnnxDim;

// A list that a node in front, which is computed once more inside, reads before the part's own node
// does.
TEST(Part, AListThatACopiedNodeReadsTooTellsDimensions) {
  test::ModelWriter w;
  w.input("ids", {std::string("B"), std::string("S")}, Precision::i64)
      .input("rows", {std::string("N"), std::string("S")})
      .node("Shape", {"ids"}, {"b_s"})
      .constant("four", Tensor::from_i64({1}, {4}))
      .constant("first", Tensor::from_i64({1}, {0}))
      .constant("second", Tensor::from_i64({1}, {1}))
      .node("Gather", {"b_s", "first"}, {"b"})
      .node("Gather", {"b_s", "second"}, {"s"})
      .node("Concat", {"b", "four", "s"}, {"by_head"}, {{"axis", std::int64_t{0}}})
      .node("ConstantOfShape", {"by_head"}, {"mask"})
      .node("Reshape", {"rows", "by_head"}, {"divided"})
      .node("Add", {"divided", "mask"}, {"sum"})
      .node("Exp", {"sum"}, {"o"})
      .output("o");
  const ModelIndex index(w.model);
  const frontend::OnnxKnownPart imported = frontend::import_known(w.model, w.types);
  const KnownValues known(imported);
  const auto at = [&](const char* name) { return index.origin(name); };
  const auto made = make_part(index, known, {at("divided"), at("sum"), at("o")}, {"part", {at("mask")}, true});
  ASSERT_TRUE(std::holds_alternative<Part>(made)) << std::get<std::string>(made);
  const auto& sources = std::get<Part>(made).sources;
  const auto list =
      std::find_if(sources.begin(), sources.end(), [](const PartSource& s) { return s.name == "by_head"; });
  ASSERT_NE(list, sources.end());
  EXPECT_TRUE(list->tells_dimensions);
}

}  // namespace
}  // namespace burin::ort
