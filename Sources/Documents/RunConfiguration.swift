/// A training run as a framework's own files state it: its strategy, and as much of the job as they say.
package struct RunConfiguration: Sendable, Equatable {
  /// The framework, by the name of its ``Capabilities``.
  package var framework: String
  package var strategy: Strategy
  /// Layers of every virtual stage; nil where the framework splits them by its own rule.
  package var layerCounts: [Int]?
  /// What each stage recomputes; nil where all do as the strategy says.
  package var choices: [StageChoice]?
  package var model: ModelDescription?
  package var sequenceLength: Int?
  package var globalBatch: Int?
  package var precision: Precision?
  /// Layers that multiply as they are stored where ``precision`` has the others' products narrower.
  package var wideLayers: WideLayers
  /// Whether products of the output head are narrower as well.
  package var narrowsHead: Bool
  package var accumulatesGradientsInFP32: Bool?
  package var optimizer: Optimizer?
  /// What the files do not say and was assumed, or say and has no bearing here: a sentence each.
  package var notes: [String]

  package init(
    framework: String, strategy: Strategy, layerCounts: [Int]? = nil, choices: [StageChoice]? = nil,
    model: ModelDescription? = nil, sequenceLength: Int? = nil, globalBatch: Int? = nil, precision: Precision? = nil,
    wideLayers: WideLayers = .none, narrowsHead: Bool = false, accumulatesGradientsInFP32: Bool? = nil,
    optimizer: Optimizer? = nil, notes: [String] = []
  ) {
    self.framework = framework
    self.strategy = strategy
    self.layerCounts = layerCounts
    self.choices = choices
    self.model = model
    self.sequenceLength = sequenceLength
    self.globalBatch = globalBatch
    self.precision = precision
    self.wideLayers = wideLayers
    self.narrowsHead = narrowsHead
    self.accumulatesGradientsInFP32 = accumulatesGradientsInFP32
    self.optimizer = optimizer
    self.notes = notes
  }
}
