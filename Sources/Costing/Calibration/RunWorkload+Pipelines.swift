import Documents

/// What frameworks do in a pipeline where a record does not say, or says of the training as a whole.
extension RunWorkload {
  /// Takes what a record leaves open of a pipeline.
  ///
  /// FSDP in a pipeline of torchtitan's neither divides weights between passes nor gradients between micro-batches: weights are
  /// not resharded after forward, and gradients are reduced with the last micro-batch (torchtitan 9dec370 of 2024-12-26,
  /// `parallelisms/parallelize_llama.py`; PyTorch's `distributed/pipelining/stage.py`). Its micro-batches are then as many as
  /// stages unless somebody states their number (`parallelisms/pipelining_utils.py` of the same commit).
  ///
  /// - Returns: a sentence for each thing that is assumed.
  static func takePipelineDefaults(
    _ pattern: inout StrategyPattern, globalBatch: Int, frameworkName: String?
  ) -> [String] {
    guard let stages = pattern.pipelineDegree, stages > 1 else { return [] }
    var assumptions: [String] = []
    if pattern.scheduleName == Strategy.Schedule(chunkCount: 2).name, pattern.virtualStageCount ?? 1 == 1 {
      pattern.virtualStageCount = 2
      assumptions.append("2 chunks a stage, the fewest that are interleaved")
    }
    guard frameworkName == "torchtitan" else { return assumptions }
    if let zeroStage = pattern.zeroStage, zeroStage >= .gradients {
      pattern.zeroStage = .optimizer
      assumptions.append("weights and gradients are whole between micro-batches, as torchtitan has them in a pipeline")
    }
    if pattern.microBatch == nil, let replicas = pattern.degree(of: .data),
      globalBatch % (replicas * stages) == 0
    {
      pattern.microBatch = globalBatch / (replicas * stages)
      assumptions.append("as many micro-batches as stages, torchtitan's default")
    }
    return assumptions
  }
}
