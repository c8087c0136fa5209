/// A way to train a model on a cluster, self-contained: inputs, strategy, who does what, what it will cost, how sure
/// that is, and what a launcher needs.
public struct Plan: Sendable, Equatable {
  /// A strategy that was priced and is not the plan's.
  public struct Alternative: Sendable, Equatable {
    public let strategy: Strategy
    /// Its layers and what its stages trade for memory.
    public let split: Split
    public let iterationSeconds: Double
    public let peakBytes: Int
    public let tokensPerSecondPerDevice: Double
    public let modelFLOPUtilization: Double
    public let verdict: Prediction.Verdict
    /// What it is the best of, such as `without pipeline`; nil for one of the next best of all.
    public let family: String?
    /// Why it lost, as a sentence.
    public let reason: String

    public init(
      strategy: Strategy, split: Split, prediction: Prediction, family: String?, reason: String
    ) {
      self.strategy = strategy
      self.split = split
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
  public let toolVersion: String
  public let cluster: ClusterDescription
  public let job: TrainingJob
  /// The framework whose coefficients were used.
  public let frameworkName: String
  /// What was fixed before the search, and so was not searched.
  public let fixed: StrategyPattern
  /// What may change values.
  public let allowance: Allowance
  public let strategy: Strategy
  /// The layers of each stage, and what it trades for memory.
  public let split: Split
  /// Which nodes are used, in which order.
  public let arrangement: NodeArrangement
  public let prediction: Prediction
  /// The plan's shard degrees and those of known schemes, side by side; empty where they are a ZeRO stage's.
  public let shardingOptions: [ShardingOption]
  public let certificate: Certificate
  /// The next best, then the best of every other family.
  public let alternatives: [Alternative]
  /// Families of strategies of which nothing fits.
  public let impossibleFamilies: [String]

  public init(
    toolVersion: String, cluster: ClusterDescription, job: TrainingJob, frameworkName: String, fixed: StrategyPattern,
    allowance: Allowance = .exact, strategy: Strategy, split: Split,
    arrangement: NodeArrangement, prediction: Prediction, shardingOptions: [ShardingOption] = [],
    certificate: Certificate, alternatives: [Alternative], impossibleFamilies: [String]
  ) {
    self.toolVersion = toolVersion
    self.cluster = cluster
    self.job = job
    self.frameworkName = frameworkName
    self.fixed = fixed
    self.allowance = allowance
    self.strategy = strategy
    self.split = split
    self.arrangement = arrangement
    self.prediction = prediction
    self.shardingOptions = shardingOptions
    self.certificate = certificate
    self.alternatives = alternatives
    self.impossibleFamilies = impossibleFamilies
  }

  /// Micro-batches of each pipeline in an iteration.
  public var microBatchCount: Int { strategy.microBatchCount(globalBatch: job.globalBatch) }

  /// Devices that are used.
  public var deviceCount: Int { arrangement.nodeOrder.count * cluster.devicesPerNode }

  /// The ranks of each node, in the order of the arrangement; a rank's position is its device.
  ///
  /// Ranks are laid onto devices in order: tensor groups are neighbours, stages are far apart.
  public var ranksByNode: [[Int]] {
    arrangement.nodeOrder.indices.map { node in
      Array(node * cluster.devicesPerNode..<(node + 1) * cluster.devicesPerNode)
    }
  }
}
