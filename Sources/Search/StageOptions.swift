import Costing
import Documents

/// What a stage can be: its layers, and what it trades for memory.
struct StageOption {
  let layers: Int
  /// Those of them with experts.
  let expertLayers: Int
  let choice: StageChoice?
  let forwardSeconds: Double
  let backwardSeconds: Double
  /// Its first micro-batch's, where that takes longer than another one's: under zeroth-order training, whose weights are
  /// brought up to date in it.
  let firstSeconds: Double
  /// What it does after its last backward pass, the sum of tied embeddings aside.
  let tail: StageCost.Tail
  /// What follows its last backward pass.
  let tailSeconds: Double
  /// Optimizer states that each of its devices keeps in the host's memory.
  let hostBytes: Int

  var workSeconds: Double { forwardSeconds + backwardSeconds }

  /// The choices of all stages; nil where they choose nothing.
  static func choices(_ options: [StageOption]) -> [StageChoice]? {
    options[0].choice == nil ? nil : options.compactMap(\.choice)
  }
}

/// The options of every stage of one strategy that keep a limit of memory and can be part of a best split.
///
/// A stage recomputes no more than it must, and has no more layers on the host, since that only adds time: there is one option for a number of layers, and
/// a second if offloading its optimizer saves recomputation or makes it fit at all. What couples stages, layers apart,
/// is the memory of the nodes they share.
struct StageOptions {
  let stageCount: Int
  let layerCount: Int
  /// The most layers of each stage.
  private(set) var capacities: [Int]
  /// The same of all stages from each on.
  private(set) var capacityFrom: [Int]
  /// Whether some stage has a choice for a number of layers.
  let hasAlternatives: Bool
  /// What the nodes' memory holds of what stages offload.
  let hosts: SharedHosts

  /// How layers can be made up.
  let variants: LayerVariants

  /// By stage, layers and the way they are made up, two places each.
  private var table: [StageOption?]
  private let most: Int

  /// Options between two questions whether to stop.
  private static let optionsPerLook = 64

  /// - Parameter limitSeconds: of splits that take as long on a worker nothing is asked: stages that would be busy for as
  ///   long have no options.
  /// - Returns: nil when the layers do not fit.
  /// - Throws: ``Stopped``.
  init?(
    _ cost: IterationCost, freedom: StageFreedom, limit: MemoryLimit, below limitSeconds: Double = .infinity,
    watch: StopWatch = .never
  ) throws(Stopped) {
    guard let source = StageOptionSource(cost, freedom: freedom, limit: limit) else { return nil }
    let p = cost.strategy.pipelineDegree
    most = source.memoryCapacities.max() ?? 0
    let variants = LayerVariants(cost.kinds, most: most)
    var table = [StageOption?](repeating: nil, count: p * (most + 1) * variants.count * 2)
    var capacities = [Int](repeating: 0, count: p)
    var hasAlternatives = false
    let busySeconds = cost.leastBusySeconds(keeping: freedom.choosesRecomputation)
    for stage in 0..<p {
      for layers in source.layerCounts(stage: stage) {
        // More layers only take longer.
        if Double(layers) * busySeconds >= limitSeconds { break }
        if layers % Self.optionsPerLook == 0 { try watch.check() }
        for variant in 0..<variants.count {
          guard let content = variants.layers(layers, variant: variant, stage: stage) else { continue }
          let (first, second) = source.options(stage: stage, content)
          guard first != nil else { continue }
          hasAlternatives = hasAlternatives || second != nil
          let place = ((stage * (most + 1) + layers) * variants.count + variant) * 2
          table[place] = first
          table[place + 1] = second
          capacities[stage] = layers
        }
      }
      if capacities[stage] == 0 { return nil }
    }
    let capacityFrom = Self.capacityFrom(capacities, layerCount: cost.layerCount)
    guard capacityFrom[0] >= cost.layerCount else { return nil }
    self.table = table
    self.variants = variants
    self.capacities = capacities
    self.capacityFrom = capacityFrom
    self.hasAlternatives = hasAlternatives
    stageCount = p
    layerCount = cost.layerCount
    hosts = source.hosts
  }

  private static func capacityFrom(_ capacities: [Int], layerCount: Int) -> [Int] {
    var capacityFrom = [Int](repeating: 0, count: capacities.count + 1)
    for stage in capacities.indices.reversed() {
      capacityFrom[stage] = min(layerCount, capacityFrom[stage + 1] + capacities[stage])
    }
    return capacityFrom
  }

  /// Options of all stages together.
  var count: Int { table.reduce(0) { $1 == nil ? $0 : $0 + 1 } }

  /// Numbers of layers of all stages times all that may be before them: what a search among splits goes through at least.
  var size: Int { stageCount * layerCount * most * variants.count }

  /// Those options alone that keep a condition; nil where they do not hold all layers.
  func keeping(_ isKept: (_ stage: Int, _ option: StageOption) -> Bool) -> StageOptions? {
    var kept = self
    for stage in 0..<stageCount {
      kept.capacities[stage] = 0
      for layers in 1...capacities[stage] {
        for place in places(stage: stage, layers: layers) {
          guard let option = table[place] else { continue }
          if isKept(stage, option) { kept.capacities[stage] = layers } else { kept.table[place] = nil }
        }
      }
      if kept.capacities[stage] == 0 { return nil }
    }
    kept.capacityFrom = Self.capacityFrom(kept.capacities, layerCount: layerCount)
    return kept.capacityFrom[0] >= layerCount ? kept : nil
  }

  /// Layers as even as the stages' options allow; nil where they do not, or nodes do not hold it.
  var evenest: [StageOption]? {
    var counts = capacities.indices.map { min(capacities[$0], layerCount / stageCount) }
    var left = layerCount - counts.reduce(0, +)
    while left > 0,
      let least = counts.indices.filter({ counts[$0] < capacities[$0] }).min(by: { counts[$0] < counts[$1] })
    {
      counts[least] += 1
      left -= 1
    }
    var used = 0
    let chosen = counts.indices.compactMap { stage in
      let (first, second) = options(stage: stage, after: used, layers: counts[stage])
      used += counts[stage]
      return first ?? second
    }
    return chosen.count == stageCount && left == 0 && hosts.hold(chosen) ? chosen : nil
  }

  /// The options of a stage that has so many layers after so many before it, one that does not offload first.
  @inline(__always)
  func options(stage: Int, after used: Int, layers: Int) -> (StageOption?, StageOption?) {
    let variant = variants.variant(after: used, layers: layers)
    let place = ((stage * (most + 1) + layers) * variants.count + variant) * 2
    return (table[place], table[place + 1])
  }

  /// All options of a stage with so many layers.
  func options(stage: Int, layers: Int) -> [StageOption] {
    places(stage: stage, layers: layers).compactMap { table[$0] }
  }

  private func places(stage: Int, layers: Int) -> Range<Int> {
    let first = (stage * (most + 1) + layers) * variants.count * 2
    return first..<first + 2 * variants.count
  }

  /// The least seconds of a stage by its number of layers, from none; infinite where it has no option.
  func least(stage: Int, _ seconds: (StageOption) -> Double) -> [Double] {
    (0...capacities[stage]).map { layers in
      options(stage: stage, layers: layers).reduce(.infinity) { min($0, seconds($1)) }
    }
  }

  /// The same by every way of making them up, at `layers · ways + way`.
  func leastByVariant(stage: Int, _ seconds: (StageOption) -> Double) -> [Double] {
    (0...capacities[stage]).flatMap { layers in
      let first = places(stage: stage, layers: layers).lowerBound
      return (0..<variants.count).map { variant in
        let place = first + 2 * variant
        return min(table[place].map(seconds) ?? .infinity, table[place + 1].map(seconds) ?? .infinity)
      }
    }
  }
}
