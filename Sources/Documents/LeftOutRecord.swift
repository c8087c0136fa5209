/// A record of a file that cannot be used, or a part of one, with the reason: one line of many, so it ends nothing.
package struct LeftOutRecord: Error, Sendable, Equatable {
  /// What the record is called; nil where its line does not tell.
  package let id: String?
  /// Where it stands: `runs.jsonl:12`.
  package let source: String
  /// Why, as a sentence.
  package let reason: String
  /// Whether something is wrong with it; a sound record of another device is left out as well.
  package let isFault: Bool

  /// - Parameter isFault: `false` where nothing is wrong with the record itself.
  package init(id: String?, source: String, reason: String, isFault: Bool = true) {
    self.id = id
    self.source = source
    self.reason = reason
    self.isFault = isFault
  }

  /// The record by its id, and its place: `run-7 (runs.jsonl:12)`.
  package var name: String { id.map { "\($0) (\(source))" } ?? source }

  /// The complaint about this one record: place, id and reason.
  package var complaint: String { "\(source): \(id.map { "\($0): " } ?? "")\(reason)" }
}

/// The records of a file, one JSON object a line, in its order: each read, or left out with the reason.
package struct RecordFile<Record: Sendable>: Sendable {
  /// A line each; empty lines are skipped.
  package let lines: [Result<Record, LeftOutRecord>]

  /// - Parameter decode: makes the value of a line's root.
  /// - Throws: `DocumentError` where the file cannot be read, or has lines and none of them is such a record.
  package init(contentsOf path: String, decode: (Field) throws(DocumentError) -> Record) throws(DocumentError) {
    lines = try documentLines(of: path).map { source, line in
      var id: String?
      do throws(DocumentError) {
        let field = try parse(line, source: source)
        id = field.recordID
        return .success(try decode(field))
      } catch {
        return .failure(LeftOutRecord(id: id, source: source, reason: error.reason))
      }
    }
    let leftOut = lines.leftOut()
    guard leftOut.count == lines.count, let first = leftOut.first else { return }
    let others = lines.count == 1 ? "" : "; none of the \(lines.count) lines is such a record"
    throw DocumentError(source: first.source, location: "", expected: first.reason + others, found: nil)
  }
}

extension Array {
  /// The records that were read.
  package func records<Record>() -> [Record] where Element == Result<Record, LeftOutRecord> {
    compactMap { try? $0.get() }
  }

  /// Those that were not.
  package func leftOut<Record>() -> [LeftOutRecord] where Element == Result<Record, LeftOutRecord> {
    compactMap { line in
      switch line {
      case .success: nil
      case .failure(let record): record
      }
    }
  }
}

extension Field {
  /// The `id` of a record that is otherwise not understood.
  fileprivate var recordID: String? {
    guard var fields = try? fields(), let id = try? fields.optional("id")?.name() else { return nil }
    return id
  }
}
