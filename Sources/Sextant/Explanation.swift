import Costing
package import Documents
package import Search

/// Why a plan is as it is: what it was chosen over, and what would have to change for another to win.
///
/// ```swift
/// for rate in try plan.explanation().rates { print(rate.resource, rate.timeShare, rate.turningFactor ?? 0) }
/// ```
public struct Explanation: Sendable {
  /// A strategy that was priced and lost.
  public struct Alternative: Sendable {
    package let document: Documents.Plan.Alternative
    /// How it divides the training.
    public var strategy: Strategy { Strategy(document.strategy) }
    /// What it multiplies in, where a plan may choose; nil where that is the job's.
    public var precision: Precision? { document.precision.map { Precision($0) } }
    /// Of one optimizer step.
    public var iterationSeconds: Double { document.iterationSeconds }
    /// Of the fullest device.
    public var peakBytes: Int { document.peakBytes }
    /// What it is the best of, such as `without pipeline`; nil for one of the next best of all.
    public var family: String? { document.family }
    /// Why it lost, as a sentence.
    public var reason: String { document.reason }
  }

  /// How an iteration follows the rate of one resource.
  public struct Rate: Sendable {
    /// Such as `matrix products` or `links of level nvlink`.
    public let resource: String
    /// Share by which an iteration is shorter where the rate is 1 % higher, over 1 %: 1 if all time is spent there.
    public let timeShare: Double
    /// What 1 % of the rate would save of an iteration, seconds.
    public let savedSeconds: Double
    /// The change of rate, as a factor, with which one of the alternatives wins; nil if none does within a factor of 4.
    public let turningFactor: Double?
    /// The alternative that then wins.
    public let winner: Alternative?
    /// Whether it is a link, and no property of a device.
    package let isLink: Bool
  }

  /// The next best, then the best of every other family.
  public let alternatives: [Alternative]
  /// Of every resource of the cluster.
  public let rates: [Rate]
  /// What single moves of nodes bring, and which pair of nodes binds.
  package let orderGain: OrderGain

  /// The link on which most time depends; nil if none counts.
  public var bindingLink: Rate? {
    rates.filter { $0.isLink && $0.timeShare > Self.leastShare }.max { $0.timeShare < $1.timeShare }
  }

  /// A share of time that is too small to be spoken of.
  package static let leastShare = 0.000_5

  init(_ plan: Documents.Plan) throws(SextantError) {
    let alternatives = plan.alternatives.map(Alternative.init)
    do {
      rates = try Sensitivity(plan).entries.map { entry in
        let (resource, isLink) =
          switch entry.resource {
          case .computation: ("matrix products", false)
          case .deviceMemory: ("device memory", false)
          case .level(let index): ("links of level \(plan.cluster.levels[index].name)", true)
          case .host: ("link to the host", true)
          }
        return Rate(
          resource: resource, timeShare: entry.timeShare,
          savedSeconds: plan.prediction.iterationSeconds * entry.timeShare / 101,
          turningFactor: entry.turningPoint?.factor,
          winner: entry.turningPoint.map { alternatives[$0.alternativeIndex] }, isLink: isLink)
      }
      orderGain = try OrderGain(plan)
    } catch { throw SextantError(error) }
    self.alternatives = alternatives
  }
}

extension Plan {
  /// Where the plan states of itself what the model does not say: time, memory, what its nodes' order is worth, other
  /// shard degrees. What it states of other strategies and of its search needs ``verification(threads:)``.
  ///
  /// - Throws: ``SextantError`` when what is inside the plan cannot be priced at all.
  public func disagreementsWithoutSearch() throws(SextantError) -> [Verification.Disagreement] {
    do {
      return try PlanVerification.disagreementsWithoutSearch(of: document).map(Verification.Disagreement.init)
    } catch { throw SextantError(error) }
  }

  /// Prices the plan and its alternatives again with every rate changed.
  ///
  /// - Throws: ``SextantError`` when what is inside the plan cannot be priced at all.
  public func explanation() throws(SextantError) -> Explanation { try Explanation(document) }
}
