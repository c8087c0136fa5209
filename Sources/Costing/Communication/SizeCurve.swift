import Documents
import Foundation

/// How long one kind of collective of one group took, by message size.
///
/// - Between two measured sizes time goes by a power of the size: it is interpolated in logarithms of both.
/// - A message smaller than all that were measured takes as long as the smallest.
/// - One larger than all passes at the rate of the largest.
/// - No message takes longer than a larger one did: what the first sizes of a test take beyond that is its warm-up, and
///   times that grow with the size are what lower bounds rest on.
struct SizeCurve: Sendable, Equatable {
  /// Logarithms of the sizes in bytes, ascending, and of the seconds, not descending.
  private let logBytes: [Double]
  private let logSeconds: [Double]
  private let largestBytes: Double
  private let largestSeconds: Double

  /// - Parameter points: in any order; of several times of one size the median counts.
  /// - Returns: nil where no point has a size.
  init?(_ points: [MeasuredLinks.CollectiveTimes.Point]) {
    let bySize = Dictionary(grouping: points.filter { $0.messageBytes > 0 && $0.seconds > 0 }, by: \.messageBytes)
    let sizes = bySize.keys.sorted()
    guard let largest = sizes.last else { return nil }
    var seconds = sizes.map { size in (bySize[size] ?? []).map(\.seconds).median ?? 0 }
    for index in seconds.indices.dropLast().reversed() { seconds[index] = min(seconds[index], seconds[index + 1]) }
    logBytes = sizes.map { log(Double($0)) }
    logSeconds = seconds.map { log($0) }
    largestBytes = Double(largest)
    largestSeconds = seconds[seconds.count - 1]
  }

  /// Seconds of a message.
  ///
  /// - Complexity: O(log sizes).
  func seconds(byteCount: Double) -> Double {
    guard byteCount < largestBytes else { return largestSeconds * (byteCount / largestBytes) }
    let size = log(max(1, byteCount))
    guard size > logBytes[0] else { return exp(logSeconds[0]) }
    var low = 0, high = logBytes.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if logBytes[middle] <= size { low = middle } else { high = middle }
    }
    let share = (size - logBytes[low]) / (logBytes[high] - logBytes[low])
    return exp(logSeconds[low] + share * (logSeconds[high] - logSeconds[low]))
  }
}
