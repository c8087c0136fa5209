import Documents
import Training

/// The passes of micro-batches on one mesh: the bytes of each are counted, and its seconds priced, when they are asked for
/// first, since of what fits nowhere nobody asks for seconds. What passes have in common is looked at once.
package struct MicroBatchPricing: Sendable {
  /// What is known of passes on a model of device, by what they have in common.
  private struct Known: Sendable {
    /// Passes of which nothing is run again, by key without recomputation.
    var unrepeated: [MicroBatchKey: UnrepeatedPasses] = [:]
    /// The same micro-batch with experts divided otherwise, by key without experts.
    var costs: [MicroBatchKey: MicroBatchCost] = [:]
    /// Its bytes.
    var kept: [MicroBatchKey: KeptActivations] = [:]
  }

  private let model: CostModel
  private let layout: LayoutCost
  private let keys: [MicroBatchKey]
  /// By model of device.
  private var known: [Known]
  /// By key, then by model of device; empty where nobody asked yet.
  private var kept: [[KeptActivations]]
  private var costs: [[MicroBatchCost]]

  /// - Parameters:
  ///   - layout: of the mesh whose strategies run the passes.
  ///   - keys: whose passes may be asked for.
  package init(_ model: CostModel, layout: LayoutCost, _ keys: [MicroBatchKey]) {
    self.model = model
    self.layout = layout
    self.keys = keys
    known = model.devices.map { _ in Known() }
    kept = keys.map { _ in [] }
    costs = keys.map { _ in [] }
  }

  /// Bytes that passes keep, on each model of device.
  ///
  /// - Parameter index: of the key.
  package mutating func kept(_ index: Int) -> [KeptActivations] {
    if kept[index].isEmpty {
      let key = keys[index]
      kept[index] = model.devices.indices.map { device in
        let bytes = KeptActivations(recipe(key, device: device), sharing: known[device].kept[key.withoutExperts])
        known[device].kept[key.withoutExperts] = bytes
        return bytes
      }
    }
    return kept[index]
  }

  /// What passes cost, on each model of device.
  ///
  /// - Parameter index: of the key.
  package mutating func costs(_ index: Int) -> [MicroBatchCost] {
    if costs[index].isEmpty {
      let kept = kept(index)
      costs[index] = model.devices.indices.map { price(keys[index], device: $0, kept: kept[$0]) }
    }
    return costs[index]
  }

  /// The same where they were asked for before, or only this once.
  package func costs(once index: Int) -> [MicroBatchCost] {
    guard costs[index].isEmpty else { return costs[index] }
    var copy = self
    return copy.costs(index)
  }

  private func recipe(_ key: MicroBatchKey, device: Int) -> Recipe {
    let job = model.job, framework = model.devices[device].framework
    let tensorDegree = layout.mesh.degree(of: .tensor)
    return Recipe(
      job: job, tensorDegree: tensorDegree, microBatch: key.microBatch, recompute: key.recompute,
      sequenceParallel: key.usesSequenceParallelism, flashAttention: key.usesFlashAttention,
      vocabularySize: job.model.paddedVocabularySize(
        multiple: framework.vocabularyMultiple, tensorDegree: tensorDegree),
      keepsActivatedGate: framework.memory.keepsActivatedGate, selective: framework.memory.selective,
      context: key.context,
      experts: RoutedExperts(
        job, tensorDegree: tensorDegree, key.experts, devicesPerNode: layout.links[device].domainSize),
      modules: key.modules)
  }

  private mutating func price(_ key: MicroBatchKey, device index: Int, kept: KeptActivations) -> MicroBatchCost {
    let device = model.devices[index], links = layout.links[index], recipe = recipe(key, device: index)
    let framework = device.framework.asked(toOverlapTensorExchanges: key.overlapsTensorExchange)
    let rates = ComputeRates(device.speed, framework: framework, job: model.job)
    let context = links.contextGroups(key.context)
    let experts = links.expertGroups(of: Strategy(mesh: layout.mesh).with(key.experts), recipe)
    let other = known[index].costs[key.withoutExperts]
    let unrepeated =
      known[index].unrepeated[key.withoutRecomputation]
      ?? UnrepeatedPasses(
        recipe, rates: rates, framework: framework, tensorGroup: links.tensorGroup, context: context,
        experts: experts, sharing: other?.unrepeated)
    known[index].unrepeated[key.withoutRecomputation] = unrepeated
    let cost = MicroBatchCost(
      recipe, rates: rates, framework: framework, tensorGroup: links.tensorGroup, context: context,
      experts: experts, kept: kept, unrepeated: unrepeated, sharing: other)
    known[index].costs[key.withoutExperts] = cost
    return cost
  }
}
