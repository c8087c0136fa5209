import Costing
import Documents
import Profiling

/// A plan priced on measured links: as they are, and as they would be if what is slow were not.
///
/// ```swift
/// for cost in try plan.priced(on: .file("links.json")).costs { print(cost.subject, cost.seconds) }
/// ```
public struct PlanOnLinks: Sendable {
  /// What one slow node or link costs an iteration.
  public struct Cost: Sendable {
    /// A node's name, or `sender → receiver`.
    public let subject: String
    /// An iteration is this much shorter where it alone is as fast as the others.
    public let seconds: Double
  }

  /// Of an iteration, as the plan states it.
  public let statedSeconds: Double
  /// Of an iteration on these links.
  public let measuredSeconds: Double
  /// With everything that is slow as fast as the others.
  public let healedSeconds: Double
  /// One at a time, dearest first.
  public let costs: [Cost]
  /// How nodes of the links were matched to nodes of the plan; nil where they have the same names.
  public let note: String?

  /// A link costs nothing that the plan does not use, and there may be thousands: the worst are asked.
  private static let askedLinkCount = 100

  init(_ plan: Documents.Plan, links: MeasuredLinks, source: String) throws(SextantError) {
    let cluster = plan.cluster
    var indices = cluster.nodeNames.compactMap { links.nodeNames.firstIndex(of: $0) }
    if indices.count == cluster.nodeCount {
      note = nil
    } else if links.nodeNames.count == cluster.nodeCount, indices.isEmpty {
      indices = Array(links.nodeNames.indices)
      note = "node k of the links is taken to be node k of the plan's cluster, since no name is in both"
    } else {
      throw SextantError(
        .input, source: source, location: "/nodes",
        expected: "expected links of the plan's \(cluster.nodeCount) nodes, such as \"\(cluster.nodeNames[0])\"",
        found: "\(indices.count) of them")
    }
    // Named as the plan's nodes, so that they can be the cluster's.
    let own = links.selecting(indices, names: cluster.nodeNames)
    let health = LinkHealth(own)
    func seconds(_ measured: MeasuredLinks) throws(SextantError) -> Double {
      let measuredCluster: ClusterDescription
      do {
        measuredCluster = try cluster.measured(measured)
      } catch { throw SextantError(.input, source: source, expected: error.sentence) }
      do {
        let model = try CostModel(cluster: measuredCluster, job: plan.job, frameworkName: plan.coefficientName)
          .arranged(plan.arrangement.nodeOrder)
        return model.prediction(of: model.cost(of: plan.strategy), split: plan.split).iterationSeconds
      } catch { throw SextantError(error) }
    }
    statedSeconds = plan.prediction.iterationSeconds
    let measuredSeconds = try seconds(own)
    self.measuredSeconds = measuredSeconds
    var costs: [Cost] = []
    for node in health.slowNodes {
      let healed = try seconds(own.replacing(bytesPerSecond: health.ratesHealing(node: node.index), name: "healed"))
      costs.append(Cost(subject: links.nodeNames[indices[node.index]], seconds: measuredSeconds - healed))
    }
    for link in health.slowLinks.prefix(Self.askedLinkCount) {
      let healed = try seconds(own.replacing(bytesPerSecond: health.ratesHealing(link), name: "healed"))
      let subject = "\(links.nodeNames[indices[link.from]]) → \(links.nodeNames[indices[link.to]])"
      costs.append(Cost(subject: subject, seconds: measuredSeconds - healed))
    }
    self.costs = costs.enumerated().sorted { ($1.element.seconds, $0.offset) < ($0.element.seconds, $1.offset) }
      .map(\.element)
    healedSeconds = try seconds(own.replacing(bytesPerSecond: health.ratesHealingAll(), name: "healed"))
  }
}

extension Plan {
  /// Prices the plan on measured links, and says what each slow node and link costs it.
  ///
  /// - Throws: ``SextantError`` when the links are not of the plan's nodes.
  public func priced(on links: Links) throws(SextantError) -> PlanOnLinks {
    try PlanOnLinks(document, links: links.document, source: links.source)
  }
}
