#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "burin/expr.h"
#include "frontend/onnx_model.h"

namespace burin::frontend {

/// The dimensions of a model's inputs as expressions.
///
///     batch        symbol batch
///     past + seq   the expression, if past and seq are dimensions of the inputs too
///     batch size   symbol batch_size
///     (nothing)    a fresh symbol: dim, dim_2, ...
class DimensionNames {
 public:
  explicit DimensionNames(const std::vector<OnnxInput>& inputs);

  Expr expression(const OnnxDim& dim);
  /// Symbol -> name in the file, for names that are no identifiers.
  const std::map<std::string, std::string>& spelled_otherwise() const { return otherwise_; }

 private:
  std::string unused(const std::string& symbol);

  std::map<std::string, Expr> expressions_;  ///< by name in the file
  std::set<std::string> used_;               ///< symbols
  std::map<std::string, std::string> otherwise_;
};

}  // namespace burin::frontend
