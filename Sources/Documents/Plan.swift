/// A way to train a model on a cluster, self-contained: inputs, strategy, who does what, what it will cost, how sure
/// that is, and what a launcher needs.
package struct Plan: Sendable, Equatable {
  /// A strategy that was priced and is not the plan's.
  package struct Alternative: Sendable, Equatable {
    package let strategy: Strategy
    /// Its layers and what its stages trade for memory.
    package let split: Split
    /// What it multiplies in, where a plan may choose; nil where that is the job's.
    package let precision: Precision?
    package let iterationSeconds: Double
    package let peakBytes: Int
    package let tokensPerSecondPerDevice: Double
    package let modelFLOPUtilization: Double
    package let verdict: Prediction.Verdict
    /// What it is the best of, such as `without pipeline`; nil for one of the next best of all.
    package let family: String?
    /// The family of the fastest strategy, where a plainer one within the margin is the plan.
    package static let fastest = "the fastest"
    /// The family of all that train by gradients, where the plan does not.
    package static let firstOrder = "first-order training"
    /// The family of workers with outer steps, where the plan has none.
    package static let outer = "outer steps of workers"
    /// The family of all that multiply in a precision, where the plan does in another.
    package static func products(in precision: Precision) -> String { "products in \(precision.rawValue)" }
    /// Why it lost, as a sentence.
    package let reason: String

    package init(
      strategy: Strategy, split: Split, precision: Precision? = nil, prediction: Prediction, family: String?,
      reason: String
    ) {
      self.strategy = strategy
      self.split = split
      self.precision = precision
      iterationSeconds = prediction.iterationSeconds
      peakBytes = prediction.peakBytes
      tokensPerSecondPerDevice = prediction.tokensPerSecondPerDevice
      modelFLOPUtilization = prediction.modelFLOPUtilization
      verdict = prediction.verdict
      self.family = family
      self.reason = reason
    }
  }

  /// The version of the tool that made it.
  package let toolVersion: String
  /// What was asked: everything that decides the answer.
  package let question: Question
  /// What is trained, in the precision that the plan multiplies in: whoever prices, runs or launches a plan reads it here.
  package let job: TrainingJob
  package let strategy: Strategy
  /// The layers of each stage, and what it trades for memory.
  package let split: Split
  /// Which nodes are used, in which order.
  package let arrangement: NodeArrangement
  package var prediction: Prediction
  /// The collectives that are priced by measured collectives.
  package let measuredPrices: [MeasuredPrice]
  /// The plan's shard degrees and those of known schemes, side by side; empty where they are a ZeRO stage's.
  package let shardingOptions: [ShardingOption]
  package let certificate: Certificate
  /// The next best, then the best of every other family.
  package let alternatives: [Alternative]
  /// Families of strategies of which nothing fits.
  package let impossibleFamilies: [String]

  /// - Parameter job: the question's in the precision that was chosen; nil for the question's own.
  package init(
    toolVersion: String, question: Question, job: TrainingJob? = nil, strategy: Strategy, split: Split,
    arrangement: NodeArrangement, prediction: Prediction, measuredPrices: [MeasuredPrice] = [],
    shardingOptions: [ShardingOption] = [],
    certificate: Certificate, alternatives: [Alternative], impossibleFamilies: [String]
  ) {
    self.toolVersion = toolVersion
    self.question = question
    self.job = job ?? question.job
    self.strategy = strategy
    self.split = split
    self.arrangement = arrangement
    self.prediction = prediction
    self.measuredPrices = measuredPrices
    self.shardingOptions = shardingOptions
    self.certificate = certificate
    self.alternatives = alternatives
    self.impossibleFamilies = impossibleFamilies
  }

  package var cluster: ClusterDescription { question.cluster }
  /// What the plan multiplies in, where it may choose; nil where that is the job's.
  package var chosenPrecision: Precision? { question.allowance.narrowsProducts ? job.precision : nil }
  /// The framework whose coefficients were used.
  package var coefficientName: String { question.coefficientName }

  /// Micro-batches of each pipeline in an iteration.
  package var microBatchCount: Int { strategy.microBatchCount(globalBatch: job.globalBatch) }

  /// Devices that are used.
  package var deviceCount: Int { arrangement.nodeOrder.count * cluster.devicesPerNode }

  /// The ranks of each node, in the order of the arrangement; a rank's position is its device.
  ///
  /// Ranks are laid onto devices in order: tensor groups are neighbours, stages are far apart.
  package var ranksByNode: [[Int]] {
    arrangement.nodeOrder.indices.map { node in
      Array(node * cluster.devicesPerNode..<(node + 1) * cluster.devicesPerNode)
    }
  }
}
