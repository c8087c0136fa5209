/// Ranks as an array of several axes, the last of which varies fastest: how PyTorch's device meshes and NumPy's `reshape`
/// lay them out.
///
/// Readers of frameworks' files derive groups from it, by the axes' order in the framework's own sources, and from nothing
/// that plans are made with.
struct RankArray {
  /// Names and degrees, outermost first.
  let axes: [(name: String, degree: Int)]

  /// All groups of ranks that differ on one axis, or on several that are taken as one; by their first rank.
  func groups(along names: Set<String>) -> [[Int]] {
    let count = axes.reduce(1) { $0 * $1.degree }
    var members: [Int: [Int]] = [:]
    var firsts: [Int] = []
    for rank in 0..<count {
      // The rank whose places on these axes are 0.
      var first = 0, rest = rank, stride = 1
      for axis in axes.reversed() {
        let place = rest % axis.degree
        rest /= axis.degree
        if !names.contains(axis.name) { first += place * stride }
        stride *= axis.degree
      }
      if members[first] == nil { firsts.append(first) }
      members[first, default: []].append(rank)
    }
    return firsts.sorted().map { members[$0] ?? [] }
  }
}
