public import Documents

/// What the cost model says a measured run should have taken.
public struct RunPrediction: Sendable {
  public let estimate: Estimate
  /// A sentence for each thing that the record does not state.
  public let assumptions: [String]

  /// - Throws: `Refusal` when the record does not state enough, or something that is not supported.
  public init(of run: MeasuredRun, catalog: Catalog) throws(Refusal) {
    do {
      let job = try run.job.get()
      let pattern = try run.strategy.get()
      for (key, isMissing) in [
        ("tensor", pattern.tensorDegree == nil), ("pipeline", pattern.pipelineDegree == nil),
        ("data", pattern.dataDegree == nil), ("micro_batch", pattern.microBatch == nil),
      ] where isMissing { throw Refusal("strategy does not state \(key)") }
      var (cluster, assumptions) = try run.cluster(catalog: catalog)
      let model = try Self.model(cluster: cluster, job: job, run: run, assumptions: &assumptions)
      var completed = pattern
      // With one rank in the tensor group the flag has nothing to divide.
      if pattern.tensorDegree == 1 { completed.usesSequenceParallelism = false }
      // A record that does not state FlashAttention is older than it, or plain.
      if pattern.usesFlashAttention == nil {
        completed.usesFlashAttention = false
        assumptions.append("attention is not fused")
      }
      if pattern.zeroStage == nil { assumptions.append("ZeRO 0") }
      if pattern.recompute == nil { assumptions.append("recompute none") }
      if pattern.overlapsGradientReduce == nil {
        assumptions.append(
          "gradient reduction is \(model.framework.overlapsGradientReduce ? "" : "not ")overlapped, as \(model.framework.name) does by default"
        )
      }
      estimate = try Estimate(model: model, pattern: completed)
      self.assumptions = assumptions
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// The model with the coefficients of the record's framework, or of the profile's first.
  private static func model(
    cluster: ClusterDescription, job: TrainingJob, run: MeasuredRun, assumptions: inout [String]
  ) throws(CostModel.Refusal) -> CostModel {
    let known = run.framework.flatMap { cluster.device.framework(named: $0) }
    let model = try CostModel(cluster: cluster, job: job, frameworkName: known?.name)
    if known == nil { assumptions.append("framework coefficients of \(model.framework.name)") }
    return model
  }

  /// Why a record cannot be predicted, as a sentence.
  public struct Refusal: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ sentence: String) { description = sentence }
  }
}
