import Documents
import Foundation

/// How much of the difference between links lasts from one measurement to the next.
///
/// With several snapshots it is the intraclass correlation of their logarithms (Shrout and Fleiss 1979, ICC(1,1)): the
/// share of the variance that lies between links and not between moments. With one, links
/// are compared with how much the same link was seen to differ between two moments on 16
/// nodes (2.1 % on average, Profiles/links/a100-hdr-16.json).
struct LinkNoise {
  /// Share of the variance that has to be the links' own.
  static let leastLastingShare = 0.2
  /// Relative difference between moments that is assumed when there is but one.
  static let usualDifference = 0.021

  /// Whether an order would follow chance.
  let hidesLinks: Bool

  init(_ links: MeasuredLinks) {
    let count = links.nodeNames.count
    var rows: [[Double]] = []
    for from in 0..<count {
      for to in 0..<count where from != to {
        let rates = links.snapshots.compactMap { $0.bytesPerSecond[from][to] }
        if rates.count == links.snapshots.count { rows.append(rates.map { log($0) }) }
      }
    }
    let k = Double(links.snapshots.count), n = Double(rows.count)
    guard rows.count > 1, let first = rows.first?.first else {
      hidesLinks = true
      return
    }
    if links.snapshots.count == 1 {
      let low = rows.reduce(first) { min($0, $1[0]) }, high = rows.reduce(first) { max($0, $1[0]) }
      hidesLinks = high - low <= Self.usualDifference
      return
    }
    // What all links gain or lose from one moment to the next is no noise between them.
    let moments = links.snapshots.indices.map { moment in rows.reduce(0) { $0 + $1[moment] } / n }
    let centred = rows.map { row in row.indices.map { row[$0] - moments[$0] } }
    let means = centred.map { $0.reduce(0, +) / k }
    let between = means.reduce(0) { $0 + $1 * $1 } * k / (n - 1)
    let within =
      zip(centred, means).reduce(0) { sum, link in
        sum + link.0.reduce(0) { $0 + ($1 - link.1) * ($1 - link.1) }
      } / (n * (k - 1))
    let lasting = (between - within) / (between + (k - 1) * within)
    // Equal links give no number.
    hidesLinks = !(lasting >= Self.leastLastingShare)
  }
}
