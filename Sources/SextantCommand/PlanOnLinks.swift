import Costing
import Documents
import Foundation
import JSONText
import Profiling

/// A plan priced on measured links: as they are, and as they would be if what is slow were not.
struct PlanOnLinks {
  /// What one slow thing costs an iteration.
  struct Cost {
    let subject: String
    let seconds: Double
  }

  /// Seconds of an iteration that the plan states, and with these links.
  let statedSeconds: Double
  let measuredSeconds: Double
  /// With everything that is slow healed.
  let healedSeconds: Double
  /// One at a time healed, dearest first.
  let costs: [Cost]
  /// How nodes of the links were told to be nodes of the plan; nil where they have the same names.
  let note: String?

  /// - Throws: `DocumentError` when the links are not of the plan's nodes, `CostModel.Refusal` when it cannot be priced.
  init(plan: Plan, links: MeasuredLinks, linksPath: String) throws {
    let cluster = plan.cluster
    var indices = cluster.nodeNames.compactMap { links.nodeNames.firstIndex(of: $0) }
    if indices.count == cluster.nodeCount {
      note = nil
    } else if links.nodeNames.count == cluster.nodeCount, indices.isEmpty {
      indices = Array(links.nodeNames.indices)
      note = "node k of the links is taken to be node k of the plan's cluster, since no name is in both"
    } else {
      throw DocumentError(
        source: linksPath, location: "/nodes",
        expected: "expected links of the plan's \(cluster.nodeCount) nodes, such as \"\(cluster.nodeNames[0])\"",
        found: "\(indices.count) of them")
    }
    // Named as the plan's nodes, so that they can be the cluster's.
    let own = links.selecting(indices, names: cluster.nodeNames)
    let health = LinkHealth(own)
    func seconds(_ measured: MeasuredLinks) throws -> Double {
      let measuredCluster: ClusterDescription
      do {
        measuredCluster = try ClusterDescription(
          name: cluster.name, source: cluster.source, devices: cluster.devices, deviceOfNode: cluster.deviceOfNode,
          nodeNames: cluster.nodeNames, devicesPerNode: cluster.devicesPerNode, levels: cluster.levels,
          host: cluster.host, measured: measured)
      } catch {
        throw DocumentError(source: linksPath, location: "", expected: error.sentence, found: nil)
      }
      let model = try CostModel(cluster: measuredCluster, job: plan.job, frameworkName: plan.frameworkName)
        .arranged(plan.arrangement.nodeOrder)
      return model.prediction(of: model.cost(of: plan.strategy), split: plan.split).iterationSeconds
    }
    statedSeconds = plan.prediction.iterationSeconds
    let measuredSeconds = try seconds(own)
    self.measuredSeconds = measuredSeconds
    var costs: [Cost] = []
    for node in health.slowNodes {
      let healed = try seconds(own.replacing(bytesPerSecond: health.ratesHealing(node: node.index), name: "healed"))
      costs.append(Cost(subject: links.nodeNames[indices[node.index]], seconds: measuredSeconds - healed))
    }
    // A link costs nothing that its plan does not use, and there may be thousands: the worst are asked.
    for link in health.slowLinks.prefix(100) {
      let healed = try seconds(own.replacing(bytesPerSecond: health.ratesHealing(link), name: "healed"))
      let subject = "\(links.nodeNames[indices[link.from]]) → \(links.nodeNames[indices[link.to]])"
      costs.append(Cost(subject: subject, seconds: measuredSeconds - healed))
    }
    self.costs = costs.enumerated().sorted { ($1.element.seconds, $0.offset) < ($0.element.seconds, $1.offset) }
      .map(\.element)
    healedSeconds = try seconds(own.replacing(bytesPerSecond: health.ratesHealingAll(), name: "healed"))
  }

  var text: String {
    func share(_ seconds: Double) -> String { String(format: "%.2f %%", seconds / measuredSeconds * 100) }
    var result =
      "\nThe plan on these links: \(Format.seconds(measuredSeconds)) an iteration; it states "
      + "\(Format.seconds(statedSeconds)).\n"
    if let note { result += "  Note: \(note.oneLine).\n" }
    guard !costs.isEmpty else { return result + "  Nothing is slow that could cost it time.\n" }
    for cost in costs.prefix(20) where cost.seconds / measuredSeconds >= 5e-5 {
      result +=
        "  \(cost.subject.oneLine) costs \(Format.seconds(cost.seconds)) an iteration (\(share(cost.seconds))).\n"
    }
    let idle = costs.count { $0.seconds / measuredSeconds < 5e-5 }
    if idle > 0 {
      result += "  The other \(Format.count(idle)) of what is slow cost it nothing alone.\n"
    }
    return result
      + "  Without any of them: \(Format.seconds(healedSeconds)), \(share(measuredSeconds - healedSeconds)) less.\n"
  }

  var json: JSON {
    .object([
      JSONMember("stated_seconds", .number(statedSeconds)), JSONMember("iteration_seconds", .number(measuredSeconds)),
      JSONMember("healed_seconds", .number(healedSeconds)),
      JSONMember(
        "costs",
        .array(
          costs.map { .object([JSONMember("of", .string($0.subject)), JSONMember("seconds", .number($0.seconds))]) })),
    ])
  }
}
