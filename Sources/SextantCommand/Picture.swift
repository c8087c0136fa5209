import Documents
import Foundation

/// An SVG picture on white that grows element by element; the same bytes for the same calls.
///
/// Attributes are given as they stand in the file, `x='3' y='4'`. Texts and titles,
/// which may hold names that people gave, are escaped here.
struct Picture {
  private var lines: [String]

  /// - Parameters:
  ///   - width: In the picture's own units, as is `height`.
  init(width: Int, height: Int) {
    lines = [
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 \(width) \(height)' font-family='sans-serif' font-size='12'>",
      "<rect width='100%' height='100%' fill='white'/>",
    ]
  }

  /// The whole picture.
  var svg: String { lines.joined(separator: "\n") + "\n</svg>\n" }

  mutating func text(_ text: String, _ attributes: String) {
    lines.append("<text \(attributes)>\(Self.escaped(text))</text>")
  }

  mutating func path(_ data: String, _ attributes: String) { lines.append("<path d='\(data)' \(attributes)/>") }

  /// A rectangle; `title` is what a browser shows when the pointer rests on it.
  mutating func rectangle(_ attributes: String, title: String? = nil) {
    lines.append(
      title.map { "<rect \(attributes)><title>\(Self.escaped($0))</title></rect>" } ?? "<rect \(attributes)/>")
  }

  mutating func circle(_ attributes: String) { lines.append("<circle \(attributes)/>") }

  /// A text as the content of an element: one line, without control characters.
  private static func escaped(_ text: String) -> String {
    text.oneLine.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;")
  }
}
