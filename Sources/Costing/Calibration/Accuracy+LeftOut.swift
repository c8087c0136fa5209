package import Documents
import Foundation

/// How sure predictions are, from those of runs that were left out of the fit that predicted them.
extension DeviceProfile.Accuracy {
  /// An entry for all that told enough: of every framework, of models with experts and without, on one node and on several,
  /// and of what these have in common.
  ///
  /// - Parameter groups: predictions of groups of runs, such as those of a model, each by a fit that had not seen it; runs that
  ///   are not judged are left out.
  package static func entries(of groups: [Validation]) -> [Self] {
    let judged = groups.map { $0.cases.filter(\.isJudgedInTime) }
    func entry(_ scope: Scope) -> Self? {
      let members = judged.map { $0.filter { scope.includes($0.kind) } }
      let all = members.flatMap { $0 }
      guard all.count >= (scope == .all ? leastCount : leastCountOfPart) else { return nil }
      return Self(
        scope, runCount: all.count,
        errorBound: bound(of: members.map { $0.compactMap(\.distance) }).rounded(significantDigits: 2),
        resolution: resolution(of: all).map { $0.rounded(significantDigits: 2) })
    }
    let frameworks: [String?] = [nil] + Set(judged.joined().compactMap(\.kind.framework)).sorted()
    let choices: [Bool?] = [nil, false, true]
    var entries: [Self] = []
    for framework in frameworks {
      for hasExperts in choices {
        for spansNodes in choices {
          let scope = Scope(framework: framework, hasExperts: hasExperts, spansNodes: spansNodes)
          guard let entry = entry(scope) else { continue }
          // What says no more than a more general one is left out.
          let isKnown = entries.contains { $0.runCount == entry.runCount && $0.scope.includes(scope) }
          if !isKnown { entries.append(entry) }
        }
      }
    }
    return entries
  }

  /// Fewer runs than this tell no bound that nine in ten keep, as nine do with their largest error.
  package static let leastCount = 9
  /// Fewer runs of a part of a device's tell no more of it than all of them.
  package static let leastCountOfPart = 20
  /// The share of runs within the bound, and of pairs that are ordered rightly.
  package static let coverage = 0.9
  /// Pairs of about one difference that are judged together; fewer tell nothing of how well strategies are told apart.
  private static let leastPairCount = 40

  /// The factor, minus one, within which nine in ten runs are of their predictions, and those of a further group.
  ///
  /// Of one kind of runs the bound is that of the share that was predicted best, one more run thought to be beyond all (the
  /// split conformal bound of Vovk et al. 2005: of further runs of the kind at least that share is within it, whatever the
  /// distribution). Runs of one group are off alike, and a further group is not one further run: the share is the least, from
  /// nine in ten up, at which bounds of all groups but one keep nine in ten of the runs that they leave out; if there is none,
  /// the largest error of all is the bound. It is one factor both ways, since a twentieth of so few runs tells nothing of either
  /// side.
  ///
  /// - Parameter groups: |log(predicted / measured)| of each group's runs.
  static func bound(of groups: [[Double]]) -> Double {
    let all = groups.joined().sorted()
    guard let largest = all.last else { return 0 }
    func bound(_ errors: [Double], _ share: Double) -> Double {
      let place = Int((Double(errors.count + 1) * share).rounded(.up)) - 1
      return place < errors.count ? errors[place] : errors.last ?? 0
    }
    let others = groups.indices.map { index in
      groups.indices.filter { $0 != index }.flatMap { groups[$0] }.sorted()
    }
    for percent in 90..<100 {
      let share = Double(percent) / 100
      let kept = zip(groups, others).reduce(0) { count, group in
        let bound = bound(group.1, share)
        return count + group.0.count { $0 <= bound }
      }
      if Double(kept) >= coverage * Double(all.count) { return exp(bound(all, share)) - 1 }
    }
    return exp(largest) - 1
  }

  /// The difference of two predictions of a group's runs down to which nine in ten pairs were ordered rightly: of pairs by
  /// their difference, largest first, the least of the first in a row, forty or a tenth of all, of which fewer were.
  private static func resolution(of cases: [Validation.Case]) -> Double? {
    var pairs: [(difference: Double, isRight: Bool)] = []
    for (_, members) in Regret.competing(cases) {
      for (index, one) in members.enumerated() {
        for other in members[(index + 1)...] {
          guard let first = one.run.measured.iterationSeconds, let second = other.run.measured.iterationSeconds,
            first != second
          else { continue }
          let difference = one.prediction.iterationSeconds / other.prediction.iterationSeconds
          pairs.append((abs(log(difference)), (difference < 1) == (first < second)))
        }
      }
    }
    guard pairs.count >= leastPairCount else { return nil }
    pairs.sort { $0.difference > $1.difference }
    // Of many pairs some in a row are of one broken run.
    let windowCount = max(leastPairCount, pairs.count / 10)
    var right = 0
    for (index, pair) in pairs.enumerated() {
      if pair.isRight { right += 1 }
      guard index + 1 >= windowCount else { continue }
      if index >= windowCount, pairs[index - windowCount].isRight { right -= 1 }
      if Double(right) < coverage * Double(windowCount) {
        return exp(pair.difference) - 1
      }
    }
    return exp(pairs[pairs.count - 1].difference) - 1
  }
}

extension Validation.Case {
  /// How far off the time is either way, |log(predicted / measured)|; nil where none was measured.
  fileprivate var distance: Double? { timeError.map { abs(log(1 + $0)) } }
}

extension Validation {
  /// Of the judged runs, the share whose time lies where its prediction expects nine in ten; nil without any.
  package var coveredShare: Double? {
    covered { item in item.prediction.iterationSecondsRange }
  }

  /// The same of what other runs tell.
  func coveredShare(by accuracy: [DeviceProfile.Accuracy]) -> Double? {
    covered { item in
      DeviceProfile.Accuracy.best(of: accuracy, for: item.kind).range(around: item.prediction.iterationSeconds)
    }
  }

  private func covered(_ range: (Case) -> ClosedRange<Double>?) -> Double? {
    let judged = cases.filter(\.isJudgedInTime)
    guard !judged.isEmpty else { return nil }
    let covered = judged.count { item in
      guard let seconds = item.run.measured.iterationSeconds, let range = range(item) else { return false }
      return range.contains(seconds)
    }
    return Double(covered) / Double(judged.count)
  }
}
