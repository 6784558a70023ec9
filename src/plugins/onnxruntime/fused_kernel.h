#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "plugins/onnxruntime/call_shapes.h"
#include "plugins/onnxruntime/part.h"
#include "plugins/onnxruntime/pool.h"
#include "plugins/onnxruntime/scratch.h"

namespace burin::ort {

/// A part of a model as a node of ONNX Runtime's. Any number of threads may call it at once.
class FusedKernel {
 public:
  /// `inputs`, `outputs`: the names of the node's, by position. Throws burin::Error where something is missing.
  FusedKernel(const Part& part, const CompiledSubgraph& compiled, const std::vector<std::string>& inputs,
              const std::vector<std::string>& outputs, int threads, std::shared_ptr<ScratchPool> scratch);
  ~FusedKernel();

  /// Reads the node's inputs where they lie, writes its outputs where ONNX Runtime wants them. Throws burin::Error.
  void compute(OrtKernelContext& context);

 private:
  struct Source {
    std::size_t position = 0;    ///< among the node's inputs
    std::vector<bool> repeated;  ///< as in PartSource
    bool tells_dimensions = false;
    std::vector<std::size_t> places;
  };
  struct Operand {
    std::size_t source = 0;
    bool is_view = false;
    std::optional<Tensor> constant;
  };
  struct Result {
    std::size_t position = 0;  ///< among the node's outputs
    std::size_t output = 0;    ///< of the kernel
  };
  struct Call;

  std::unique_ptr<Call> make_call() const;
  bool read_sources(const OrtKernelContext& context, Call& call) const;
  bool read_dimensions(const Source& source, const OrtValue& value, const void* data, Dims& dims) const;
  void bind(Call& call) const;
  /// Of dimensions that repeat the kernel sees one element.
  void narrow(std::size_t source, Call& call) const;
  static const void* data_of(std::size_t source, const Call& call);

  CallShapes shapes_;
  CompiledSubgraph compiled_;
  std::vector<Source> sources_;
  std::vector<Operand> operands_;
  std::vector<Result> results_;
  int threads_;
  Pool<Call> calls_;
  std::shared_ptr<ScratchPool> scratch_;
};

}  // namespace burin::ort
