An evening class in whistling has been moved to the old ice house on the edge of town, and students have been asked to walk home in ones and twos.

Beginners' Whistling was set up in January at the Adult Institute, where it shared a corridor with book-keeping. Tutor Bronwen Hale, 56, had hoped for six people. Ninety came, among them a bus inspector, three nuns and a man who said that he had not been able to whistle since his divorce.

All went well until the fifth lesson, when the class managed a chord. Dogs arrived from as far off as Pell Magna. Every kettle in the building was taken off the heat by somebody who thought that it had boiled. A football match in the park stopped and changed ends.

The Institute said it would have to choose between the whistlers and the book-keepers, who had begun to get sums right out of nervousness.

In the ice house there are walls six feet thick. Mrs Hale reports that the man who was divorced can now do the whole of a sea shanty with trills. He has been seen on the front, early in the morning, with eleven spaniels.

@highlight

A popular whistling class has been moved to the old ice house

@highlight

Ninety people enrolled, including three nuns and a bus inspector

@highlight

A chord in lesson five drew dogs from miles around
